import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.attribution.cam import cam_maps, gradcam, layercam
from steel_xai.attribution.gradient import guided_backprop, integrated_gradients
from steel_xai.attribution.rewiring import private_copy
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        *(nn.Conv2d(3, 5, 3), nn.ReLU(), nn.MaxPool2d(3, 2), nn.Conv2d(5, 5, 3), nn.ReLU()),
        *(nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(20, 3)),
    ).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(4, 3, 32, 33, generator=torch.Generator().manual_seed(1))


TARGETS = torch.tensor([0, 1, 2, 1])


def guided(net: nn.Module, images: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    return guided_backprop(private_copy(net), images, targets)[0]


def test_guided_backprop_cuts_negative_gradients_at_every_relu():
    rng = np.random.default_rng(0)
    first, second, third = rng.normal(size=(6, 12)), rng.normal(size=(5, 6)), rng.normal(size=(2, 5))
    layers = [nn.Linear(12, 6, bias=False), nn.Linear(6, 5, bias=False), nn.Linear(5, 2, bias=False)]
    for layer, weight in zip(layers, (first, second, third), strict=True):
        layer.weight.data = torch.from_numpy(weight.astype(np.float32))
    net = nn.Sequential(nn.Flatten(), layers[0], nn.ReLU(), layers[1], nn.ReLU(), layers[2])
    image = rng.normal(size=(3, 2, 2)).astype(np.float32)
    hidden = np.maximum(first @ image.ravel(), 0)
    upper = np.maximum(second @ hidden, 0)
    at_upper = np.maximum(third[1], 0) * (upper > 0)
    at_hidden = np.maximum(second.T @ at_upper, 0) * (hidden > 0)
    found = guided(net, torch.from_numpy(image)[None], torch.tensor([1]))
    np.testing.assert_allclose(found[0].numpy().ravel(), first.T @ at_hidden, rtol=1e-5)


@pytest.mark.filterwarnings("ignore")
def test_guided_backprop_equals_captums(net, images):
    from captum.attr import GuidedBackprop

    expected = GuidedBackprop(net).attribute(images, TARGETS)
    torch.testing.assert_close(guided(net, images, TARGETS), expected, rtol=1e-6, atol=1e-8)


def test_class_activation_maps_that_share_the_forward_pass_are_not_guided(net, images):
    cams = [(gradcam, "4"), (layercam, "1")]
    alone = guided(net, images, TARGETS)
    gradient, maps = guided_backprop(private_copy(net), images, TARGETS, cams=cams)
    torch.testing.assert_close(gradient, alone)
    for found, expected in zip(maps, cam_maps(private_copy(net), images, TARGETS, cams), strict=True):
        torch.testing.assert_close(found, expected)


def test_guided_backprop_explains_a_network_of_windows(net, images):
    # One window as large as the sheet, of which the score is the log-probability instead of the logit.
    sheet = SheetFromWindows(net, PatchParameters(count=1, size=(32, 33), black_level=12, max_black=1)).eval()
    found = guided(sheet, images, TARGETS)
    torch.testing.assert_close(found, guided(nn.Sequential(net, nn.LogSoftmax(dim=1)), images, TARGETS))


def test_integrated_gradients_equal_a_loop_over_the_line(net, images):
    baseline = images.mean((2, 3), keepdim=True)
    nodes, weights = np.polynomial.legendre.leggauss(7)
    total = torch.zeros_like(images)
    for node, weight in zip(nodes, weights, strict=True):
        point = (baseline + (1 + node) / 2 * (images - baseline)).float().requires_grad_()
        total += weight / 2 * torch.autograd.grad(net(point).gather(1, TARGETS[:, None]).sum(), point)[0]
    found = integrated_gradients(private_copy(net), images, TARGETS, baseline, n_steps=7, batch_size=8)
    torch.testing.assert_close(found, total * (images - baseline), rtol=1e-4, atol=1e-6)


def test_more_steps_bring_integrated_gradients_closer_to_completeness(net, images):
    baseline = images.mean((2, 3), keepdim=True).expand_as(images)
    with torch.no_grad():
        expected = (net(images) - net(baseline)).gather(1, TARGETS[:, None])[:, 0]

    def error(n_steps: int) -> float:
        found = integrated_gradients(private_copy(net), images, TARGETS, baseline, n_steps=n_steps, batch_size=8)
        return float((found.sum((1, 2, 3)) - expected).abs().max())

    assert error(200) < 0.1 * error(4)
    assert error(200) < 1e-3
