import pytest
import torch
from torch import nn
from torchvision.models import resnet18, squeezenet1_1

from steel_xai.inspection.modules import recorded
from steel_xai.inspection.receptive_field import LIMIT, ReceptiveField, receptive_fields


def by_formula(layers):
    """Chain kernel, stride and padding of each layer (Araujo et al. 2019): size, stride and offset."""
    size, stride, offset = 1, 1, 0
    for kernel, step, padding in layers:
        offset -= padding * stride
        size += (kernel - 1) * stride
        stride *= step
    return size, stride, offset


def square(size, stride, offset):
    return ReceptiveField((size, size), (stride, stride), (offset, offset))


def test_fields_of_squeezenet_equal_those_by_hand():
    # The 3x3 branch of a Fire module with padding 1 sees more than its 1x1 branch.
    network = squeezenet1_1(weights=None).features[:10]
    first, fire, pool = (3, 2, 0), (3, 1, 1), (3, 2, 0)
    expected = {
        "0": by_formula([first]),
        "4": by_formula([first, pool, fire, fire]),
        "9": by_formula([first, pool, fire, fire, pool, fire, fire, pool, fire]),
    }
    assert expected["9"] == (111, 16, -40)
    assert receptive_fields(network, list(expected), 64) == {name: square(*field) for name, field in expected.items()}


def test_axes_are_measured_apart_and_norms_do_not_widen_the_field():
    network = nn.Sequential(
        nn.Conv2d(3, 4, (5, 3), stride=(2, 1), padding=(2, 0)), nn.GroupNorm(2, 4), nn.MaxPool2d((1, 2), (1, 2))
    )
    assert receptive_fields(network, ["2"], 16)["2"] == ReceptiveField((5, 4), (2, 2), (-2, 0))


def test_fields_longer_than_the_first_strip_and_with_skip_connections_are_followed():
    fields = receptive_fields(resnet18(weights=None), ["conv1", "layer4"], 64)
    assert fields == {"conv1": square(7, 2, -3), "layer4": square(435, 32, -217)}


def test_layer_that_sees_everything_has_the_largest_field():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.AdaptiveAvgPool2d(1))
    field = receptive_fields(network, ["1"], 8)["1"]
    assert field.size == (LIMIT, LIMIT)
    assert field.window((0, 0), (64, 400)) == (slice(0, 64), slice(0, 400))


def test_network_is_left_as_it_is():
    network = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.MaxPool2d(2))
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    receptive_fields(network, ["2"], 8)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training
    assert isinstance(network[2], nn.MaxPool2d)


@pytest.mark.parametrize("cell", [(0, 0), (2, 5), (3, 9)])
def test_window_is_where_pixels_change_the_cell(cell):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2, padding=1), nn.Conv2d(4, 4, 3, stride=2, padding=1)).double()
    image = torch.randn(1, 3, 16, 40, dtype=torch.float64, requires_grad=True)
    with recorded(network, ["1"], lambda output: output) as outputs:
        network(image)
    (gradient,) = torch.autograd.grad(outputs["1"][0, :, *cell].sum(), image)
    seen = gradient[0].abs().sum(dim=0) > 0
    rows, columns = receptive_fields(network.float(), ["1"], 16)["1"].window(cell, (16, 40))
    expected = torch.zeros(16, 40, dtype=torch.bool)
    expected[rows, columns] = True
    assert torch.equal(seen, expected)
