from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD, normalise
from steel_xai.inspection.activation_maximisation import (
    _kernel_width,
    enlarged_sizes,
    filter_activations,
    frozen_copy,
    layer_output,
    maximise_activation,
)
from steel_xai.models import build_network

SHORT: dict[str, Any] = {"sizes": [24], "steps": 40, "learning_rate": 0.05, "seed": 0}


def two_filters(kernels):
    """A network whose first layer's filters are given as kernels [3, 3] on the sum of the channels."""
    convolution = nn.Conv2d(3, len(kernels), 3, bias=False)
    with torch.no_grad():
        convolution.weight[:] = torch.tensor(kernels)[:, None]
    return nn.Sequential(convolution, nn.Identity())


@pytest.fixture
def network():
    torch.manual_seed(0)
    return build_network("reduced_squeezenet", 2, batch_norm=True, dropout=0.2, image_size=(64, 64)).eval()


def test_image_of_a_linear_filter_is_white_where_it_excites_and_black_where_it_inhibits():
    left_right = [[0.0, 0, 0], [-1, 0, 0], [0, 0, 0]], [[0.0, 0, 0], [0, 2, 0], [0, 0, 0]]
    dark, bright = maximise_activation(two_filters(left_right), "0", [0, 1], **SHORT)
    # Pixels that no cell sees, a frame on the sides that the kernel's empty parts cover, stay as they started.
    assert torch.equal(dark[0, 1:-1, :-2], torch.zeros(22, 22))
    assert torch.equal(bright[0, 1:-1, 1:-1], torch.ones(22, 22))


def test_activations_are_of_each_images_own_filter():
    kernels = [[0.0, 0, 0], [0, 1, 0], [0, 0, 0]], [[0.0, 0, 0], [0, -1, 0], [0, 0, 0]]
    images = torch.zeros(2, 1, 4, 4)
    images[0, 0, 1, 1] = 1
    means, peaks = filter_activations(two_filters(kernels), "0", torch.tensor([0, 1]), images)
    black = -sum(mean / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    white = sum((1 - mean) / std for mean, std in zip(IMAGENET_MEAN, IMAGENET_STD, strict=True))
    assert means.tolist() == pytest.approx([(3 * black + white) / 4, -black], rel=1e-5)
    assert peaks.tolist() == pytest.approx([white, -black], rel=1e-5)


@pytest.mark.parametrize("objective", ["mean", "peak"])
@pytest.mark.parametrize("sizes", [[48], [32, 48]])
def test_ascent_raises_what_the_objective_names_and_keeps_pixels_valid(network, objective, sizes):
    filters = [3, 200]
    how: dict[str, Any] = {"sizes": sizes, "learning_rate": 0.03, "objective": objective, "seed": 0}
    before = maximise_activation(network, "features.6", filters, steps=0, **how)
    after = maximise_activation(network, "features.6", filters, steps=25, **how)
    which = ["mean", "peak"].index(objective)
    values = [filter_activations(network, "features.6", torch.tensor(filters), images) for images in (before, after)]
    assert (values[1][which] > 1.5 * values[0][which]).all()
    assert after.shape == (2, 1, 48, 48)
    assert after.min() >= 0
    assert after.max() <= 1


def test_images_follow_from_the_seed_and_not_from_the_other_filters(network):
    how = SHORT | {"jitter": 2, "steps": 5}
    both = maximise_activation(network, "features.3", [5, 90], **how)
    alone = maximise_activation(network, "features.3", [90], **how)
    torch.testing.assert_close(both[1:], alone, atol=1e-3, rtol=0)
    assert torch.equal(both, maximise_activation(network, "features.3", [5, 90], **how))
    assert not torch.equal(both, maximise_activation(network, "features.3", [5, 90], **how | {"seed": 1}))


def test_colour_images_have_three_channels_that_differ(network):
    image = maximise_activation(network, "features.3", [5], **SHORT, n_channels=3)
    assert image.shape == (1, 3, 24, 24)
    assert not torch.equal(image[:, 0], image[:, 1])


def test_total_variation_makes_images_smoother(network):
    how = SHORT | {"sizes": [32]}
    rough, smooth = (
        maximise_activation(network, "features.3", [5, 90], **how, total_variation=weight).diff(dim=3).abs().mean()
        for weight in (0.0, 1000.0)
    )
    assert smooth < 0.5 * rough


def test_jitter_makes_a_strided_filter_respond_wherever_the_image_lies():
    # Without it a filter with step 2 colours every second pixel only.
    kernel = [[0.0, 0, 0], [0, 1, 0], [0, 0, 0]]
    network = two_filters([kernel])
    network[0].stride = (2, 2)
    still = maximise_activation(network, "0", [0], **SHORT)
    shifted = maximise_activation(network, "0", [0], **SHORT, jitter=3)
    seen, unseen = still[0, 0, 3:-3:2, 3:-3:2], still[0, 0, 4:-4:2, 4:-4:2]
    assert seen.min() == 1
    assert unseen.mean() < 0.8
    assert shifted[0, 0, 4:-4, 4:-4].min() == 1


def test_filter_that_is_silent_on_most_images_is_found_by_its_start():
    # Only images much darker than the middle grey pass the bias; a single start would be silent and stay so.
    network = two_filters([[[0.0, 0, 0], [0, -1, 0], [0, 0, 0]]])
    network[0].bias = nn.Parameter(torch.tensor([-2.0]))
    network.insert(1, nn.ReLU())
    image = maximise_activation(network, "1", [0], **SHORT)
    assert filter_activations(network, "1", torch.tensor([0]), image)[1] > 0


def test_network_is_left_as_it_is(network):
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    maximise_activation(network, "features.3", [5], **SHORT)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert not any(module._forward_hooks for module in network.modules())


def test_nothing_behind_the_layer_is_computed(network):
    network.features[4] = nn.Module()  # cannot be called
    output = layer_output(network, "features.3", torch.zeros(1, 3, 32, 32))
    assert output.shape == (1, 128, 7, 7)
    assert not any(module._forward_hooks for module in network.modules())


@pytest.mark.parametrize("layer", ["features.0", "features.0.convolution", "features.3", "features.9"])
def test_frozen_copy_has_the_same_outputs_at_the_layer_that_is_looked_at(network, layer):
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.get_buffer("running_mean"), -1, 1)
            nn.init.uniform_(module.get_buffer("running_var"), 0.5, 2)
    frozen = frozen_copy(network, [layer])
    images = normalise(torch.randint(0, 256, (2, 1, 64, 64), dtype=torch.uint8))
    expected = layer_output(network, layer, images).detach()
    torch.testing.assert_close(layer_output(frozen, layer, images), expected, atol=1e-4, rtol=1e-4)
    kept = sum(isinstance(module, nn.BatchNorm2d) for module in frozen.modules())
    assert kept == (1 if layer == "features.0.convolution" else 0)


def test_scales_and_kernels_are_those_of_the_study():
    assert enlarged_sizes(64, 1.4, 4) == [64, 90, 125, 176]
    assert [_kernel_width((3, 10), scale, 4) for scale in (1, 2, 3)] == [3, 5, 9]
    assert _kernel_width((3, 10), 1, 2) == 3


def test_blur_at_the_enlargement_takes_out_what_is_finer_than_the_kernel(network):
    how: dict[str, Any] = {"learning_rate": 0.03, "seed": 0, "steps": 0}
    wide, narrow = (
        maximise_activation(network, "features.3", [5], sizes=[32, 45], blur=(width, width), **how).numpy()
        for width in (9, 1)
    )
    steps = [np.abs(np.diff(image, axis=3)).mean() for image in (wide, narrow)]
    assert steps[0] < 0.7 * steps[1]
