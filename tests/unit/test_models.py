import copy

import pytest
import torch
import torchvision
from torch import nn
from torchvision.models import list_models

from steel_xai.errors import InputError
from steel_xai.models import ARCHITECTURES, build_network, freeze_features, head, head_name, initialise, train_mode
from steel_xai.parameters import OWN_ARCHITECTURES, TORCHVISION_ARCHITECTURES


def network(architecture="reduced_squeezenet", n_classes=5, batch_norm=False, dropout=0.2, image_size=(64, 400)):
    torch.manual_seed(0)
    return build_network(architecture, n_classes, batch_norm=batch_norm, dropout=dropout, image_size=image_size)


def outline(architecture, **options):
    """A network of shapes alone, built at once whatever its size."""
    with torch.device("meta"):
        return network(architecture, **options)


def n_parameters(module):
    return sum(parameter.numel() for parameter in module.parameters())


def test_every_own_architecture_can_be_built():
    assert set(ARCHITECTURES) == set(OWN_ARCHITECTURES)


def test_names_of_torchvision_that_are_known_without_it_are_all_it_has():
    assert set(list_models(module=torchvision.models)) == TORCHVISION_ARCHITECTURES | (
        {*OWN_ARCHITECTURES} & {*list_models(module=torchvision.models)}
    )


@pytest.mark.parametrize("architecture", OWN_ARCHITECTURES)
@pytest.mark.parametrize(("image_size", "n_classes"), [((64, 400), 2), ((128, 128), 7)])
def test_own_architectures_fit_any_size_and_number_of_classes(architecture, image_size, n_classes):
    net = network(architecture, n_classes, image_size=image_size)
    assert [name for name, _ in net.named_children()] == ["features", "classifier"]
    assert net(torch.zeros(2, 3, *image_size)).shape == (2, n_classes)


@pytest.mark.parametrize(
    ("architecture", "batch_norm"),
    [*((name, False) for name in OWN_ARCHITECTURES), ("ad_hoc_cnn", True), ("reduced_squeezenet", True)],
)
def test_gradient_reaches_every_parameter_and_the_image(architecture, batch_norm):
    net = network(architecture, batch_norm=batch_norm, image_size=(64, 80))
    images = torch.randn(2, 3, 64, 80, requires_grad=True)
    nn.functional.cross_entropy(net(images), torch.tensor([0, 3])).backward()
    assert images.grad is not None
    for name, parameter in net.named_parameters():
        assert parameter.grad is not None, name
        assert parameter.grad.abs().sum() > 0, name


@pytest.mark.parametrize(
    ("architecture", "batch_norm"),
    [*((name, False) for name in OWN_ARCHITECTURES), ("ad_hoc_cnn", True), ("squeezenet", True)],
)
def test_no_activation_or_pool_is_reused_or_in_place(architecture, batch_norm):
    net = network(architecture, batch_norm=batch_norm, image_size=(64, 80))
    calls: dict[str, int] = {}
    leaves = {name: module for name, module in net.named_modules() if not list(module.children())}
    for name, module in leaves.items():
        module.register_forward_hook(lambda *_, name=name: calls.update({name: calls.get(name, 0) + 1}))
        assert not getattr(module, "inplace", False), name
    net(torch.zeros(2, 3, 64, 80))
    assert calls == dict.fromkeys(leaves, 1)


@pytest.mark.parametrize(
    ("architecture", "feature_map", "n_relus"),
    [
        ("ad_hoc_cnn", (32, 2, 23), 4 + 2),
        ("densenet121", (1024, 2, 12), 1 + 2 * 58 + 3 + 1),  # stem, two in each dense layer, transitions, the last
        ("reduced_squeezenet", (384, 3, 24), 1 + 3 * 5 + 1),
        ("squeezenet", (512, 3, 24), 1 + 3 * 8 + 1),
        ("vgg16_bn", (512, 2, 12), 13 + 2),
    ],
)
def test_own_architectures_have_their_feature_map_and_every_relu_as_a_module(architecture, feature_map, n_relus):
    net = outline(architecture)
    assert net.features(torch.zeros(1, 3, 64, 400, device="meta")).shape == (1, *feature_map)
    assert sum(isinstance(module, nn.ReLU) for module in net.modules()) == n_relus


def test_ad_hoc_cnn_flattens_1472_values_and_has_the_parameters_counted_by_hand():
    net = network("ad_hoc_cnn", 2, dropout=0.3)
    assert [(layer.in_features, layer.out_features) for layer in net.classifier if isinstance(layer, nn.Linear)] == [
        (1472, 256),
        (256, 32),
        (32, 2),
    ]
    assert [layer.p for layer in net.classifier if isinstance(layer, nn.Dropout)] == [0.3, 0.3]
    convolutions = (3 * 9 + 1) * 32 + 3 * (32 * 9 + 1) * 32
    assert n_parameters(net) == convolutions + 1473 * 256 + 257 * 32 + 33 * 2 == 414018


def test_reduced_squeezenet_has_the_parameters_counted_by_hand():
    def fire(inputs, squeeze, expand):
        return (inputs + 1) * squeeze + (squeeze + 1) * expand + (9 * squeeze + 1) * expand

    net = network(n_classes=2)
    fires = fire(64, 16, 64) + fire(128, 16, 64) + fire(128, 32, 128) + fire(256, 32, 128) + fire(256, 48, 192)
    assert n_parameters(net.features) == (3 * 9 + 1) * 64 + fires == 225296
    assert n_parameters(net.classifier) == 385 * 1000 + 1001 * 2


def test_vgg16_has_the_studys_narrow_head():
    linear = [layer for layer in outline("vgg16_bn").classifier if isinstance(layer, nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [(25088, 256), (256, 32), (32, 5)]


@pytest.mark.parametrize("architecture", ["reduced_squeezenet", "squeezenet", "squeezenet1_1"])
def test_logits_can_be_negative(architecture):
    assert (network(architecture, image_size=(64, 80))(torch.randn(16, 3, 64, 80)) < 0).any()


@pytest.mark.parametrize("architecture", ["ad_hoc_cnn", "vgg16_bn"])
def test_random_start_keeps_the_scale_of_activations_through_the_head(architecture):
    net = network(architecture, dropout=0, image_size=(64, 80)).eval()
    hidden = {}
    linear = [layer for layer in net.classifier if isinstance(layer, nn.Linear)]
    for layer in linear:
        layer.register_forward_hook(lambda layer, _, output: hidden.update({layer: output.detach().std()}))
    net(torch.randn(4, 3, 64, 80))
    assert 0.3 < hidden[linear[1]] / hidden[linear[0]] < 3
    assert hidden[linear[2]] < 0.2 * hidden[linear[1]], "logits start near zero"


def test_batch_norm_follows_each_convolution_which_has_no_bias():
    modules = list(network(batch_norm=True).modules())
    convolutions = [module for module in modules if isinstance(module, nn.Conv2d)]
    assert len(convolutions) == 17
    assert all(convolution.bias is None for convolution in convolutions)
    after = [modules[modules.index(convolution) + 1] for convolution in convolutions]
    assert all(isinstance(module, nn.BatchNorm2d) for module in after)


def test_torchvision_networks_without_normalisation_can_be_given_one():
    net = outline("vgg11", batch_norm=True)
    assert sum(isinstance(module, nn.BatchNorm2d) for module in net.modules()) == 8


@pytest.mark.parametrize("architecture", ["vgg16_bn", "densenet121", "resnet18", "convnext_tiny"])
def test_second_normalisation_is_refused(architecture):
    with pytest.raises(InputError, match=rf"training\.batch_norm: true .*{architecture} has its own"):
        outline(architecture, batch_norm=True)


def test_resnet18_of_torchvision_by_its_name():
    assert network("resnet18", 7, image_size=(64, 80))(torch.zeros(2, 3, 64, 80)).shape == (2, 7)


@pytest.mark.parametrize(
    ("architecture", "name"),
    [
        ("alexnet", "classifier"),
        ("convnext_tiny", "classifier"),
        ("googlenet", "fc"),
        ("inception_v3", "fc"),
        ("mobilenet_v3_small", "classifier"),
        ("resnext101_32x8d", "fc"),
        ("shufflenet_v2_x0_5", "fc"),
        ("squeezenet1_0", "classifier"),
        ("vgg16", "classifier"),
    ],
)
def test_head_of_any_network_makes_the_logits_and_no_activation_is_in_place(architecture, name):
    net = outline(architecture, n_classes=3, image_size=(128, 128))
    assert head_name(net) == name
    layers = [module for module in head(net).modules() if isinstance(module, nn.Linear | nn.Conv2d)]
    assert getattr(layers[-1], "out_features", getattr(layers[-1], "out_channels", None)) == 3
    assert not any(getattr(module, "inplace", False) for module in net.modules())


@pytest.mark.parametrize(("architecture", "name"), [("swin_t", "head"), ("vit_b_32", "heads")])
def test_head_of_a_transformer(architecture, name):
    assert head_name(outline(architecture, image_size=(224, 224))) == name


@pytest.mark.parametrize("architecture", ["googlenet", "inception_v3"])
def test_inception_networks_have_one_output_and_convert_the_images_as_their_weights_expect(architecture):
    net = outline(architecture, image_size=(128, 128))
    assert net.transform_input
    assert isinstance(net(torch.zeros(2, 3, 128, 128, device="meta")), torch.Tensor)


def test_dropout_rate_reaches_the_dropouts_that_torchvision_uses_and_no_others():
    rates = [module.p for module in outline("alexnet", dropout=0.35).modules() if isinstance(module, nn.Dropout)]
    assert rates == [0.35, 0.35]
    swin = outline("swin_t", dropout=0.35)
    assert {module.p for module in swin.modules() if isinstance(module, nn.Dropout)} == {0.0}


@pytest.mark.parametrize(
    ("architecture", "image_size", "problem"),
    [
        ("vit_b_16", (64, 400), "64x400 pixels: Wrong image height"),
        ("maxvit_t", (64, 400), "64x400 pixels"),
        ("inception_v3", (64, 400), "64x400 pixels: .*Kernel size"),
        ("alexnet", (32, 400), "32x400 pixels: .*too small"),
        ("ad_hoc_cnn", (45, 400), "45x400 pixels, because its poolings leave nothing of sides below 46"),
    ],
)
def test_images_that_a_network_cannot_take_are_an_error_that_says_why(architecture, image_size, problem):
    with pytest.raises(
        InputError, match=rf"training\.architecture: {architecture} cannot take .*{problem}.*tensor_size"
    ):
        outline(architecture, image_size=image_size)


def test_smallest_image_of_the_ad_hoc_cnn():
    assert network("ad_hoc_cnn", image_size=(46, 46))(torch.zeros(1, 3, 46, 46)).shape == (1, 5)


def test_checking_the_size_draws_no_random_numbers_and_leaves_batch_statistics_alone():
    net = network("densenet121")
    after_building = torch.get_rng_state()
    torch.manual_seed(0)
    initialise(ARCHITECTURES["densenet121"](5, 0.2, (64, 400)))
    assert torch.equal(after_building, torch.get_rng_state())
    assert all(module.training for module in net.modules())
    buffers = dict(net.named_buffers())
    assert all(not value.any() for name, value in buffers.items() if name.endswith("running_mean"))
    assert all(not value.any() for name, value in buffers.items() if name.endswith("num_batches_tracked"))


def test_unknown_architecture_names_the_known_ones():
    with pytest.raises(InputError, match=r"'vgg99' is neither one of .*reduced_squeezenet.* nor .*torchvision"):
        network("vgg99")


@pytest.mark.parametrize("architecture", ["resnet18", "mobilenet_v2"])
def test_frozen_features_stay_as_they_are_in_a_training_step(architecture):
    net = network(architecture, 2, image_size=(64, 64))
    freeze_features(net)
    before = copy.deepcopy(net.state_dict())
    train_mode(net)
    optimizer = torch.optim.SGD([weight for weight in net.parameters() if weight.requires_grad], lr=0.1)
    nn.functional.cross_entropy(net(torch.randn(4, 3, 64, 64)), torch.tensor([0, 1, 1, 1])).backward()
    optimizer.step()
    changed = {name for name, value in net.state_dict().items() if not torch.equal(value, before[name])}
    assert changed == {name for name in before if name.startswith(head_name(net) + ".")}
    assert all(module.training for module in head(net).modules())


def test_training_mode_reaches_everything_that_is_not_frozen():
    net = network("resnet18").eval()
    train_mode(net)
    assert all(module.training for module in net.modules())
