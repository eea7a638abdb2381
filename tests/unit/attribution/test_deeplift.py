import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.attribution.deeplift import deeplift, draw_baselines, with_multipliers
from steel_xai.attribution.rewiring import private_copy
from steel_xai.errors import InputError
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


def network(*layers: nn.Module, n_inputs: int) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(n_inputs, 3)).eval()


def squeezenet_like() -> nn.Module:
    """Overlapping 3/2 poolings straight after ReLUs."""
    return network(
        *(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        *(nn.Conv2d(6, 6, 3), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True)),
        n_inputs=24,
    )


def examples(n: int = 4, size: int = 17, seed: int = 1) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    images, baselines = torch.randn(2, n, 3, size, size, generator=generator)
    return images, baselines, torch.arange(n) % 3


def explain(net: nn.Module, images: torch.Tensor, targets: torch.Tensor, *baselines: torch.Tensor) -> torch.Tensor:
    return deeplift(with_multipliers(private_copy(net), method="deeplift"), images, targets, baselines)


def output_differences(net, images, baselines, targets):
    with torch.no_grad():
        return (net(images) - net(baselines)).gather(1, targets[:, None])[:, 0]


def test_attributions_add_up_to_the_difference_of_outputs_through_overlapping_poolings():
    images, baselines, targets = examples()
    net = squeezenet_like()
    found = explain(net, images, targets, baselines).sum((1, 2, 3))
    torch.testing.assert_close(found, output_differences(net, images, baselines, targets), rtol=1e-5, atol=1e-6)


@pytest.mark.filterwarnings("ignore")
def test_captum_alone_is_wrong_there():
    from captum.attr import DeepLift

    images, baselines, targets = examples()
    net = squeezenet_like()
    found = DeepLift(net).attribute(images, baselines, target=targets).sum((1, 2, 3))
    expected = output_differences(net, images, baselines, targets)
    error = ((found - expected).abs() / expected.abs()).max()
    assert error > 0.01, "captum's max-pool rule is mended: deeplift.py can go back to captum.attr.DeepLift, if as fast"


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    "middle",
    [
        [nn.ReLU(), nn.Conv2d(6, 6, 3)],
        [nn.ReLU(), nn.Conv2d(6, 6, 3), nn.MaxPool2d(2), nn.Conv2d(6, 4, 1), nn.ReLU()],
        [nn.BatchNorm2d(6), nn.ReLU(), nn.AvgPool2d(2), nn.Dropout(0.5)],
    ],
)
def test_equals_captum_where_poolings_neither_overlap_nor_follow_a_relu(middle):
    from captum.attr import DeepLift

    images, baselines, targets = examples()
    convolution = nn.Conv2d(3, 6, 3)
    n_inputs = nn.Sequential(convolution, *middle, nn.Flatten()).eval()(images).shape[1]
    net = network(convolution, *middle, n_inputs=n_inputs)
    expected = DeepLift(net).attribute(images, baselines, target=targets)
    torch.testing.assert_close(explain(net, images, targets, baselines), expected, rtol=1e-4, atol=1e-6)


def rescaled_by_hand(image: np.ndarray, baseline: np.ndarray, weight: np.ndarray, size: int, stride: int) -> np.ndarray:
    """ReLU, overlapping max pooling of one channel, linear layer: the rescale rule window by window."""
    hidden, hidden_baseline = np.maximum(image, 0), np.maximum(baseline, 0)
    contributions = np.zeros_like(image)
    windows = [(i, j) for i in range(0, len(image) - size + 1, stride) for j in range(0, len(image) - size + 1, stride)]
    for multiplier, (i, j) in zip(weight, windows, strict=True):
        window, reference = (values[i : i + size, j : j + size] for values in (hidden, hidden_baseline))
        higher = max(window.max(), reference.max())
        for values, difference in ((window, higher - reference.max()), (reference, window.max() - higher)):
            row, column = np.unravel_index(values.argmax(), values.shape)
            contributions[i + row, j + column] += multiplier * difference
    attributions = np.zeros_like(image)
    for place in np.ndindex(*image.shape):
        pooled_difference = hidden[place] - hidden_baseline[place]
        if pooled_difference != 0:
            multiplier = contributions[place] / pooled_difference
            attributions[place] = multiplier * pooled_difference / (image - baseline)[place] * (image - baseline)[place]
    return attributions


def test_follows_the_rescale_rule_window_by_window():
    rng = np.random.default_rng(0)
    image, baseline = rng.normal(size=(2, 7, 7)).astype(np.float32)
    net = nn.Sequential(nn.ReLU(), nn.MaxPool2d(3, 2), nn.Flatten(), nn.Linear(9, 2))
    weight = net.get_parameter("3.weight")[1].detach().numpy()
    found = explain(net, torch.from_numpy(image)[None, None], torch.tensor([1]), torch.from_numpy(baseline)[None, None])
    np.testing.assert_allclose(found[0, 0], rescaled_by_hand(image, baseline, weight, 3, 2), rtol=1e-4, atol=1e-6)


def test_equal_values_have_no_attribution_and_no_nan():
    images, baselines, targets = examples()
    images[0] = baselines[0]
    images[1, :, :, 5:] = baselines[1, :, :, 5:]
    found = explain(squeezenet_like(), images, targets, baselines)
    assert torch.isfinite(found).all()
    assert not found[0].any()
    assert not found[1, :, :, 5:].any()
    assert found[1].any()


def test_several_baselines_give_the_mean_over_each():
    images, _, targets = examples()
    baselines = torch.randn(3, 4, 3, 17, 17, generator=torch.Generator().manual_seed(2))
    net = squeezenet_like()
    together = explain(net, images, targets, *baselines)
    one_by_one = torch.stack([explain(net, images, targets, baseline) for baseline in baselines])
    torch.testing.assert_close(together, one_by_one.mean(dim=0), rtol=1e-5, atol=1e-7)


@pytest.mark.filterwarnings("ignore")
def test_deepshap_equals_captums_where_captum_is_right():
    from captum.attr import DeepLiftShap

    images, background, targets = examples()
    net = network(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Conv2d(6, 6, 3, 2), nn.ReLU(), n_inputs=294)
    expected = DeepLiftShap(net).attribute(images, background, target=targets)
    found = explain(net, images, targets, *draw_baselines(background, 4, [0, 1, 2, 3]))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-6)


def test_one_baseline_for_all_equals_one_each():
    images, baselines, targets = examples()
    shared = baselines[:1]
    net = squeezenet_like()
    torch.testing.assert_close(
        explain(net, images, targets, shared), explain(net, images, targets, shared.expand_as(images))
    )


def test_each_image_draws_its_own_baselines_without_replacement():
    background = torch.arange(6.0)[:, None, None, None].expand(6, 3, 2, 2)
    drawn = torch.stack(draw_baselines(background, 4, [7, 7, 8]))[:, :, 0, 0, 0]
    assert drawn.shape == (4, 3)
    assert all(len(set(column.tolist())) == 4 for column in drawn.T)
    assert drawn[:, 0].tolist() == drawn[:, 1].tolist() != drawn[:, 2].tolist()


def test_a_background_smaller_than_asked_for_is_taken_whole():
    drawn = torch.stack(draw_baselines(torch.arange(2.0)[:, None, None, None], 5, [0]))
    assert sorted(drawn.flatten().tolist()) == [0, 1]


def test_a_network_of_windows_is_refused_in_words():
    patches = PatchParameters(count=2, size=(32, 32), black_level=12, max_black=0.5)
    with pytest.raises(InputError, match=r"deeplift: no rule for the maximum over windows.*training\.patches: null"):
        with_multipliers(SheetFromWindows(squeezenet_like(), patches), method="deeplift")
