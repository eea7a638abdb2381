import copy

import pytest
import torch
from torch import nn
from torch.nn import functional

from steel_xai.attribution.deeplift import deeplift, with_multipliers
from steel_xai.attribution.gradient import guided_backprop
from steel_xai.attribution.rewiring import private_copy, rewire
from steel_xai.errors import InputError
from steel_xai.models import build_network

TARGETS = torch.tensor([0, 1, 2])


class Plain(nn.Module):
    """Each activation a module of its own."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.first, self.second, self.fc = nn.Conv2d(3, 4, 3), nn.Conv2d(4, 4, 3, padding=1), nn.Linear(4, 3)
        self.relus = nn.ModuleList(nn.ReLU() for _ in range(3))
        self.pool = nn.MaxPool2d(3, 2, ceil_mode=True)

    def forward(self, images):
        values = self.pool(self.relus[0](self.first(images)))
        values = self.relus[2](values + self.relus[1](self.second(values)))
        return self.fc(values.mean((2, 3)))


class Tangled(Plain):
    """The same network with one ReLU module for two places, and functions for the others."""

    def forward(self, images):
        values = functional.max_pool2d(self.relus[0](self.first(images)), kernel_size=3, stride=2, ceil_mode=True)
        other = self.second(values)
        other = self.relus[0](other) + values
        return self.fc(torch.flatten(functional.adaptive_avg_pool2d(functional.relu(other, inplace=True), 1), 1))


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 14, 15, generator=torch.Generator().manual_seed(1))


def test_reused_and_functional_activations_are_explained_like_modules_of_their_own(images):
    plain, tangled = private_copy(Plain()), private_copy(Tangled())
    torch.testing.assert_close(tangled(images), plain(images))
    expected, found = (guided_backprop(net, images, TARGETS)[0] for net in (plain, tangled))
    torch.testing.assert_close(found, expected)
    baseline = torch.zeros(1, 3, 14, 15)
    expected, found = (
        deeplift(with_multipliers(net, method="deeplift"), images, TARGETS, [baseline]) for net in (plain, tangled)
    )
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("architecture", ["reduced_squeezenet", "resnet18", "googlenet", "densenet121"])
def test_rewiring_keeps_the_outputs(architecture):
    images = torch.randn(2, 3, 64, 96, generator=torch.Generator().manual_seed(1))
    net = private_copy(build_network(architecture, 3, batch_norm=False, dropout=0.2, image_size=(64, 96)))
    torch.testing.assert_close(with_multipliers(net, method="m")(images), net(images))


@pytest.mark.parametrize(
    ("architecture", "missing", "guided"),
    [
        ("mobilenet_v2", "ReLU6", "hardtanh"),
        ("mobilenet_v3_small", "Hardsigmoid", "hardswish"),
        ("efficientnet_b0", "SiLU, Sigmoid", "silu"),
    ],
)
def test_activations_without_a_rule_are_refused_by_name(architecture, missing, guided):
    net = private_copy(build_network(architecture, 3, batch_norm=False, dropout=0.2, image_size=(64, 64)))
    with pytest.raises(InputError, match=rf"deeplift: no rule for .*{missing}.*, which \w+Net\w* has"):
        with_multipliers(net, method="deeplift")
    with pytest.raises(InputError, match=rf"guided_backprop and guided_gradcam: no rule for {guided}, which"):
        guided_backprop(net, torch.zeros(1, 3, 64, 64), torch.tensor([0]))


def test_products_of_activations_have_no_rule_but_products_with_numbers_need_none(images):
    class Scaled(nn.Module):
        def __init__(self, combine) -> None:
            super().__init__()
            self.combine, self.fc = combine, nn.Linear(3, 3)

        def forward(self, images):
            return self.fc(self.combine(torch.relu(input=images.mean((2, 3)))))

    net = private_copy(Scaled(lambda values: values * 2 / 3))
    torch.testing.assert_close(with_multipliers(net, method="m")(images), net(images))
    for combine, name in ((lambda values: values * values, "mul"), (lambda values: 1 / (values + 1), "truediv")):
        with pytest.raises(InputError, match=f"no rule for {name}, which Scaled has"):
            with_multipliers(private_copy(Scaled(combine)), method="m")


def test_a_network_that_cannot_be_traced_is_refused_by_name():
    class Branching(nn.Module):
        def forward(self, images):
            return images if images.sum() > 0 else -images

    with pytest.raises(InputError, match=r"m: torch\.fx cannot follow the forward pass of Branching"):
        rewire(Branching(), relu=nn.ReLU, max_pool=lambda pool: pool, method="m")


def test_a_private_copy_shares_nothing_and_works_nothing_in_place():
    net = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.ReLU(inplace=True))
    state = copy.deepcopy(net.state_dict())
    own = private_copy(net)
    for parameter in own.parameters():
        parameter.add_(1)
    assert net.training
    assert net[2].inplace
    assert all(parameter.requires_grad for parameter in net.parameters())
    assert not own.training
    assert not own.get_submodule("2").inplace
    assert not any(parameter.requires_grad for parameter in own.parameters())
    assert all(torch.equal(net.state_dict()[name], tensor) for name, tensor in state.items())
