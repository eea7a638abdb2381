from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.attribution.faithfulness import (
    cascading_randomisation,
    curve_areas,
    insertion_deletion,
    summarise_areas,
)

HEIGHT, WIDTH = 8, 16
SQUARE = np.zeros((HEIGHT, WIDTH), bool)
SQUARE[:4, :8] = True


class ReadsOneSquare(nn.Module):
    """Class 1 has the probability 0.1 + 0.8 times the share of the square's pixels that are 1 (the others are 0)."""

    def forward(self, images):
        share = images[:, 0, torch.from_numpy(SQUARE)].mean(dim=1).clamp(0, 1)
        probability = 0.1 + 0.8 * share
        return torch.stack([1 - probability, probability], dim=1).log()


@pytest.fixture
def images():
    """The square is 1 and the rest -1/3, so that the mean that fills in is 0."""
    image = torch.full((2, 3, HEIGHT, WIDTH), -1 / 3)
    image[:, :, torch.from_numpy(SQUARE)] = 1
    return image


def measure(network, images, maps, target=1, **changes):
    options: dict[str, Any] = {"steps": 4, "fill": "mean", "seed": 0, "batch_size": 3} | changes
    return insertion_deletion(network, images, torch.full((len(images),), target), maps, **options)


def of_each_image(image_map, n=2):
    return np.stack([image_map.astype(np.float32)] * n)


@pytest.fixture
def areas(images):
    maps = {"square": of_each_image(SQUARE, 6), "reversed": of_each_image(~SQUARE, 6)}
    return curve_areas(measure(ReadsOneSquare(), images.repeat(3, 1, 1, 1), maps, steps=64))


def test_curves_of_a_network_that_reads_one_square(images):
    curves = measure(ReadsOneSquare(), images, {"square": of_each_image(SQUARE)})
    found = curves[curves["method"] == "square"].pivot(index=["image", "curve"], columns="share", values="probability")
    assert found.columns.tolist() == [0, 0.25, 0.5, 0.75, 1]
    for image in range(2):
        assert found.loc[image, "deletion"].tolist() == pytest.approx([0.9, 0.1, 0.1, 0.1, 0.1], abs=1e-6)
        assert found.loc[image, "insertion"].tolist() == pytest.approx([0.1, 0.9, 0.9, 0.9, 0.9], abs=1e-6)


def test_areas_are_the_trapezoidal_rules(images):
    areas = curve_areas(measure(ReadsOneSquare(), images, {"square": of_each_image(SQUARE)}))
    row = areas[areas["method"] == "square"].iloc[0]
    assert (row["insertion"], row["deletion"]) == pytest.approx((0.8, 0.2), abs=1e-6)
    assert areas["method"].tolist() == ["square", "square", "random", "random"]


def test_right_map_is_best_the_reversed_one_worst_and_the_random_order_between(areas):
    means = areas.groupby("method")[["insertion", "deletion"]].mean()
    best, worst, random = (means.loc[method] for method in ("square", "reversed", "random"))
    # A quarter of the pixels decides: the probability falls from 0.9 to 0.1 over the first or the last quarter.
    assert (best["deletion"], best["insertion"]) == pytest.approx((0.2, 0.8), abs=1e-6)
    assert (worst["deletion"], worst["insertion"]) == pytest.approx((0.8, 0.2), abs=1e-6)
    assert (random["deletion"], random["insertion"]) == pytest.approx((0.5, 0.5), abs=0.03)


def test_summary_gives_gains_over_the_random_order_of_the_same_images(areas):
    table = summarise_areas(areas, n_samples=200, seed=0).set_index("method")
    by_method = areas.set_index(["method", "image"])
    gains = by_method.loc["random", "deletion"] - by_method.loc["square", "deletion"]
    row = table.loc["square"]
    assert row["deletion_gain"] == pytest.approx(gains.mean())
    assert gains.min() <= row["deletion_gain_low"] < gains.mean() < row["deletion_gain_high"] <= gains.max()
    assert row["insertion_gain"] > 0
    assert table.loc["reversed", "insertion_gain"] < 0
    assert table.loc["random", ["deletion_gain", "insertion_gain"]].tolist() == [0, 0]
    assert table["n"].tolist() == [6, 6, 6]


def test_pixels_of_equal_value_go_in_the_random_order(images):
    curves = measure(ReadsOneSquare(), images, {"constant": np.zeros((2, HEIGHT, WIDTH), np.float32)}, steps=16)
    constant, random = (curves[curves["method"] == method] for method in ("constant", "random"))
    assert constant["probability"].tolist() == random["probability"].tolist()


def test_evidence_against_the_target_goes_last(images):
    against = np.where(SQUARE, -1.0, 0.0)
    areas = curve_areas(measure(ReadsOneSquare(), images, {"against": of_each_image(against)}))
    assert areas[areas["method"] == "against"]["deletion"].tolist() == pytest.approx([0.8, 0.8], abs=1e-6)


@pytest.fixture
def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten(), nn.Linear(16, 3)).eval()


@pytest.mark.parametrize("fill", ["mean", "blur"])
def test_curves_equal_those_of_pixels_replaced_one_step_at_a_time(network, fill):
    from scipy.ndimage import gaussian_filter

    images = torch.randn(1, 3, HEIGHT, WIDTH, generator=torch.Generator().manual_seed(0))
    # All values differ, so that the order is known; 5 steps do not divide the 128 pixels.
    image_map = np.random.default_rng(0).permutation(HEIGHT * WIDTH).reshape(1, HEIGHT, WIDTH)
    image = images[0].numpy()
    filled = np.zeros_like(image)
    filled[:] = image.mean(axis=(1, 2), keepdims=True) if fill == "mean" else gaussian_filter(image, (0, 8, 8))
    expected = []
    for start, end in ((filled, image), (image, filled)):
        for step in range(6):
            picture = start.copy()
            for position in np.argsort(-image_map.ravel())[: round(step * 128 / 5)]:
                picture[:, position // WIDTH, position % WIDTH] = end[:, position // WIDTH, position % WIDTH]
            with torch.no_grad():
                expected.append(torch.softmax(network(torch.from_numpy(picture)[None]), dim=1)[0, 2].item())
    curves = measure(network, images, {"map": image_map}, target=2, steps=5, fill=fill)
    assert curves[curves["method"] == "map"]["probability"].tolist() == pytest.approx(expected, rel=1e-5)


def test_curves_depend_on_the_seed_and_not_on_the_batch_size(network, images):
    maps = {"square": of_each_image(SQUARE)}
    small, large = (measure(network, images, maps, batch_size=size)["probability"] for size in (1, 100))
    np.testing.assert_allclose(small, large, rtol=1e-5)
    assert (measure(network, images, maps, seed=1, batch_size=100)["probability"] != large).any()


def explain(network, images, targets):
    """Maps that are the network's weights times the image, and ones that are the image's brightness alone."""
    brightness = images.mean(dim=1).numpy()
    return {"weights": brightness * network.weight.detach().numpy(), "brightness": brightness}


def to_evidence(maps, method):
    return np.abs(maps) if method == "weights" else np.maximum(maps, 0)


@pytest.fixture
def randomised():
    rng = np.random.default_rng(0)
    images = torch.from_numpy(rng.standard_normal((5, 3, HEIGHT, WIDTH)).astype(np.float32))

    class Network(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.ones(HEIGHT, WIDTH))

    network = Network()
    targets = torch.zeros(5, dtype=torch.int64)
    reference = explain(network, images, targets)
    weights = {
        "head": torch.ones(HEIGHT, WIDTH),
        "middle": -torch.ones(HEIGHT, WIDTH),
        "first": torch.zeros(HEIGHT, WIDTH),
    }

    def cascade():
        for name, weight in weights.items():
            network.weight.data = weight
            yield name, network

    table = cascading_randomisation(
        explain, cascade(), images, targets, reference, to_evidence=to_evidence, n_samples=200, seed=0
    )
    return table.set_index(["method", "layer"])


def test_randomisation_follows_the_cascade(randomised):
    assert randomised.loc["weights"]["depth"].to_dict() == {"head": 1, "middle": 2, "first": 3}
    row = randomised.loc["weights", "head"]
    assert row[["correlation", "correlation_low", "correlation_high"]].tolist() == pytest.approx([1, 1, 1])


def test_reversed_maps_have_correlation_minus_one_and_the_evidence_of_absolute_values_stays(randomised):
    row = randomised.loc["weights", "middle"]
    assert (row["correlation"], row["evidence_correlation"]) == pytest.approx((-1, 1))


def test_without_methods_nothing_is_randomised_and_the_table_keeps_its_columns(randomised):
    def never():
        raise AssertionError("a network was randomised")
        yield

    empty: Any = None
    table = cascading_randomisation(explain, never(), empty, empty, {}, to_evidence=to_evidence, n_samples=200, seed=0)
    assert table.empty
    assert set(table.columns) == {"method", "layer", *randomised.columns}


def test_constant_maps_have_no_correlation_and_are_counted_out(randomised):
    row = randomised.loc["weights", "first"]
    assert pd.isna(row[["correlation", "correlation_low", "correlation_high", "evidence_correlation"]]).all()
    assert (row["correlation_n"], row["evidence_correlation_n"]) == (0, 0)


def test_method_that_ignores_the_network_keeps_its_map(randomised):
    assert randomised.loc["brightness"]["correlation"].tolist() == pytest.approx([1, 1, 1])
    assert randomised.loc["brightness"]["correlation_n"].tolist() == [5, 5, 5]
