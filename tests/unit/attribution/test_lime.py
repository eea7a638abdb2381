import io
from contextlib import redirect_stderr
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.attribution.lime import draw_samples, grid, lime_maps

HEIGHT, WIDTH, N_SEGMENTS = 16, 40, 10


class LinearModel(nn.Module):
    """Logits that are weighted sums of pixels: constant 0 for class 0, the weighted sum for class 1."""

    def __init__(self, weights):
        super().__init__()
        self.weights = weights

    def forward(self, images):
        score = (images * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([torch.zeros_like(score), score], dim=1)


@pytest.fixture
def images():
    return torch.randn(3, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()


def explain(network, images, targets, **changes):
    options: dict[str, Any] = {
        "n_samples": 60,
        "n_segments": N_SEGMENTS,
        "seeds": range(len(images)),
        "batch_size": 7,
    } | changes
    return lime_maps(network, images, torch.as_tensor(targets), **options)


def by_segment(image_map):
    segments = grid(HEIGHT, WIDTH, N_SEGMENTS)
    return np.array([image_map[segments == k].mean() for k in range(segments.max() + 1)])


@pytest.mark.parametrize(
    ("size", "n", "shape"), [((64, 400), 100, (4, 25)), ((64, 400), 50, (3, 17)), ((4, 4), 999, (4, 4))]
)
def test_grid_has_nearly_square_cells_numbered_by_row(size, n, shape):
    segments = grid(size[0], size[1], n)
    assert np.unique(segments).tolist() == list(range(shape[0] * shape[1]))
    assert segments[0, -1] == shape[1] - 1
    assert segments[-1, 0] == (shape[0] - 1) * shape[1]


def test_linear_models_weights_are_recovered_up_to_scale(images):
    generator = torch.Generator().manual_seed(1)
    weights = torch.randn(3, HEIGHT, WIDTH, generator=generator)
    # What hiding a superpixel takes away from the score: weights times its distance from the mean grey.
    image = images[0]
    lost = (weights * (image - image.mean(dim=(1, 2), keepdim=True))).sum(dim=0).numpy()
    segments = grid(HEIGHT, WIDTH, N_SEGMENTS)
    expected = np.array([lost[segments == k].sum() for k in range(segments.max() + 1)])
    found = by_segment(explain(LinearModel(weights), images[:1], [1], n_samples=4000)[0])
    # Ridge regression shrinks all weights alike, by little at so many samples.
    np.testing.assert_allclose(found, expected, rtol=0.01, atol=0.01 * np.abs(expected).max())


def test_constant_model_gives_zeros(images):
    assert not explain(LinearModel(torch.zeros(3, 1, 1)), images, [1, 0, 1]).any()


def test_weights_equal_the_packages_own_on_the_same_samples(images, network):
    from lime.lime_image import LimeImageExplainer

    segments = grid(HEIGHT, WIDTH, N_SEGMENTS)
    n_segments = segments.max() + 1

    class Replay:
        def randint(self, low, high, size):
            assert (low, high, size) == (0, 2, 60 * n_segments)
            return draw_samples(60, n_segments, seed=5).ravel()

    def logits(pictures):
        with torch.inference_mode():
            return network(torch.from_numpy(pictures.astype(np.float32)).permute(0, 3, 1, 2)).numpy()

    explainer = LimeImageExplainer()
    explainer.random_state = Replay()
    pixels = images[0].permute(1, 2, 0).numpy().astype(float)
    with redirect_stderr(io.StringIO()):
        package = explainer.explain_instance(
            pixels,
            logits,
            labels=(2,),
            top_labels=None,
            hide_color=pixels.mean(axis=(0, 1)),
            num_samples=60,
            segmentation_fn=lambda _: segments,
            random_seed=0,
        )
    expected = dict(package.local_exp[2])
    found = by_segment(explain(network, images[:1], [2], seeds=[5])[0])
    np.testing.assert_allclose(found, [expected[k] for k in range(n_segments)], rtol=1e-4, atol=1e-6)


def test_seed_decides_the_map(images, network):
    first, again, other = (explain(network, images[:1], [1], seeds=[seed]) for seed in (3, 3, 4))
    assert first.tobytes() == again.tobytes()
    assert (first != other).any()


def test_maps_of_several_images_are_those_of_each(images, network):
    together = explain(network, images, [0, 1, 2])
    assert together.dtype == np.float32
    for k in range(3):
        assert together[k].tobytes() == explain(network, images[k : k + 1], [k], seeds=[k])[0].tobytes()


def test_nothing_is_printed_and_the_network_keeps_its_state(images, network, capsys):
    before = {name: value.clone() for name, value in network.state_dict().items()}
    explain(network, images, [0, 1, 2])
    assert capsys.readouterr() == ("", "")
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(parameter.grad is None for parameter in network.parameters())
