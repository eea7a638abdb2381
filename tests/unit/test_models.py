from typing import get_args

import pytest
import torch
from torch import nn

from steel_xai.errors import InputError
from steel_xai.models import ARCHITECTURES, build_network
from steel_xai.parameters import TrainingParameters


def network(batch_norm=False):
    torch.manual_seed(0)
    return build_network("reduced_squeezenet", 5, batch_norm=batch_norm, dropout=0.2)


def test_every_architecture_can_be_chosen_by_parameter():
    assert set(get_args(TrainingParameters.model_fields["architecture"].annotation)) == set(ARCHITECTURES)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_gradient_reaches_every_parameter_and_the_image(batch_norm):
    net = network(batch_norm)
    images = torch.randn(2, 3, 64, 80, requires_grad=True)
    logits = net(images)
    assert logits.shape == (2, 5)
    nn.functional.cross_entropy(logits, torch.tensor([0, 3])).backward()
    assert images.grad is not None
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


def test_feature_map_of_the_study_is_384_channels_of_3_by_24():
    assert network().features(torch.zeros(1, 3, 64, 400)).shape == (1, 384, 3, 24)


def test_logits_can_be_negative():
    assert (network()(torch.randn(16, 3, 64, 80)) < 0).any()


def test_published_layers_keep_their_names():
    from torchvision.models import squeezenet1_1

    published = {name: value.shape for name, value in squeezenet1_1(weights=None).state_dict().items()}
    own = {name: value.shape for name, value in network().features.state_dict(prefix="features.").items()}
    assert own.items() <= published.items()
    assert len(own) == 2 * (1 + 3 * 5)


def test_batch_norm_follows_each_convolution_which_has_no_bias():
    modules = list(network(batch_norm=True).modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 17
    assert all(convolution.bias is None for convolution in convolutions)
    after = [modules[modules.index(convolution) + 1] for convolution in convolutions]
    assert all(isinstance(module, nn.BatchNorm2d) for module in after)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_no_activation_or_pool_is_reused_or_in_place(batch_norm):
    net = network(batch_norm)
    calls: dict[str, int] = {}
    for name, module in net.named_modules():
        if not list(module.children()):
            module.register_forward_hook(lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1}))
            assert not getattr(module, "inplace", False), name
    net(torch.zeros(2, 3, 64, 80))
    assert set(calls.values()) == {1}
    assert sum(isinstance(module, nn.ReLU) for module in net.modules()) == 1 + 3 * 5 + 1


def test_unknown_architecture_names_the_known_ones():
    with pytest.raises(InputError, match=r"'vgg99' is unknown.*reduced_squeezenet"):
        build_network("vgg99", 2, batch_norm=False, dropout=0)
