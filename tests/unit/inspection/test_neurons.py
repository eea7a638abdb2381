from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import tiny_network
from torch import nn

from steel_xai.errors import InputError
from steel_xai.inspection.neurons import (
    MODES,
    MaximisationOptions,
    _patch,
    inspect_neurons,
    summarise_neurons,
)
from steel_xai.inspection.receptive_field import ReceptiveField

OPTIONS = MaximisationOptions(start_size=24, n_scales=2, steps=15, learning_rate=0.05)


@pytest.fixture
def network():
    torch.manual_seed(0)
    network: Any = tiny_network(2, 0.0, (64, 40)).eval()
    with torch.no_grad():
        # A filter that nothing excites, and one that responds to bright pixels.
        network.features[0].weight[0], network.features[0].bias[0] = 0, -1
        network.features[0].weight[1], network.features[0].bias[1] = 1, 0
    return network


def inspect(network, sheets, **changes):
    how: dict[str, Any] = {
        "rows": np.arange(len(sheets)),
        "layers": ["features.1"],
        "n_filters": 3,
        "n_patches": 2,
        "n_sheets": 40,
        "options": OPTIONS,
        "cutoff": 0.25,
        "batch_size": 16,
        "n_samples": 100,
        "device": torch.device("cpu"),
        "seed": 0,
    }
    return inspect_neurons(network, sheets, **how | changes)


@pytest.fixture
def inspected(network, fake_sheets):
    return inspect(network, fake_sheets, n_filters=99)


def test_dead_filters_are_counted_and_not_maximised(inspected):
    assert 0 not in inspected.table["filter"].tolist()
    assert 1 in inspected.table["filter"].tolist()
    counts = inspected.summary.set_index(["layer", "mode"]).loc[("features.1", "plain")]
    assert counts["n_active"] + counts["n_dead"] == 8
    assert counts["n_dead"] >= 1
    assert counts["n"] == counts["n_active"]


def test_table_has_a_row_for_each_filter_and_mode_and_compares_like_with_like(inspected, network, fake_sheets):
    table = inspected.table
    assert len(table) == 2 * len(inspected.neurons)
    assert (table["exceeds_mean"] == (table["mean"] > table["sheet_mean"])).all()
    assert (table["exceeds_peak"] == (table["peak"] > table["sheet_peak"])).all()
    assert (table["activation"] == table["mean"]).all()
    every = inspect(network, fake_sheets, n_filters=99, n_sheets=60).table
    assert (every["sheet_peak"] >= table["sheet_peak"]).all()


def test_comparison_follows_the_objective(network, fake_sheets):
    options = MaximisationOptions(start_size=24, n_scales=2, steps=15, learning_rate=0.05, objective="peak")
    table = inspect(network, fake_sheets, options=options).table
    assert (table["activation"] == table["peak"]).all()
    assert (table["sheet_maximum"] == table["sheet_peak"]).all()


def test_patches_of_a_filter_for_bright_pixels_show_the_brightest_sheets(inspected, fake_sheets):
    neuron = next(neuron for neuron in inspected.neurons if neuron.channel == 1)
    assert len({patch.row for patch in neuron.patches}) == 2
    for patch in neuron.patches:
        # Sheets with an odd number have a square that is brighter by 90.
        assert patch.row % 2 == 1
        top, left, bottom, right = patch.field
        assert (bottom - top, right - left) == (3, 3)
        assert patch.pixels[top:bottom, left:right].min() > 140


def test_images_of_both_modes_have_one_size_and_few_filters_are_drawn_alike(network, fake_sheets):
    first, second = inspect(network, fake_sheets), inspect(network, fake_sheets)
    assert len(first.neurons) == 3
    for one, other in zip(first.neurons, second.neurons, strict=True):
        assert {image.shape for image in one.images.values()} == {(34, 34)}
        assert all(np.array_equal(one.images[mode], other.images[mode]) for mode in MODES)
    pd.testing.assert_frame_equal(first.table, second.table)
    assert inspect(network, fake_sheets, seed=1).table["filter"].tolist() != first.table["filter"].tolist()


def test_sheets_listed_twice_are_searched_once(network, fake_sheets):
    once = inspect(network, fake_sheets, n_sheets=99, n_filters=1)
    rows = np.repeat(np.arange(len(fake_sheets)), 2)
    twice = inspect(network, fake_sheets, rows=rows, n_sheets=99, n_filters=1)
    pd.testing.assert_frame_equal(once.table, twice.table)
    assert [patch.row for patch in once.neurons[0].patches] == [patch.row for patch in twice.neurons[0].patches]


def test_layers_by_default_are_the_last_of_each_resolution(network, fake_sheets):
    inspected = inspect(network, fake_sheets, layers=None, n_filters=1)
    assert list(inspected.fields) == ["features.1", "features.4"]
    assert inspected.summary["layer"].tolist() == [x for x in ("features.1", "features.4", "all") for _ in MODES]


def test_layer_of_no_active_filter_is_counted_beside_others(network, fake_sheets):
    with torch.no_grad():
        network.features[3].bias.fill_(-1000)
    summary = inspect(network, fake_sheets, layers=None).summary.set_index(["layer", "mode"])
    dead = summary.loc[("features.4", "plain")]
    assert (dead["n_dead"], dead["n"]) == (8, 0)
    assert np.isnan(dead["exceeds_mean"])


def test_network_without_active_filters_is_refused(network, fake_sheets):
    with torch.no_grad():
        network.features[0].bias.fill_(-1000)
    with pytest.raises(InputError, match="no filter"):
        inspect(network, fake_sheets)


def test_unknown_layer_is_refused(network, fake_sheets):
    with pytest.raises(InputError, match=r"features\.77"):
        inspect(network, fake_sheets, layers=["features.77"])


def test_small_images_are_enlarged_for_layers_with_large_steps(fake_sheets):
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 4, 3, stride=4), nn.ReLU(), nn.Conv2d(4, 4, 3, stride=4, padding=1))
    network = nn.Sequential(features, nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))).eval()
    inspected = inspect(network, fake_sheets, layers=["0.2"], options=OPTIONS, n_filters=1)
    assert inspected.neurons[0].images["plain"].shape == (round(3 * 16 * 1.4),) * 2


def test_summary_gives_shares_and_paired_differences():
    table = pd.DataFrame(
        {
            "layer": ["a"] * 6,
            "filter": [1, 2, 3] * 2,
            "mode": ["plain"] * 3 + ["multi_scale"] * 3,
            "exceeds_mean": [True, True, True, True, False, True],
            "exceeds_peak": [True, True, True, False, False, True],
            "high_frequency_share": [0.9, 0.8, 0.7, 0.5, 0.4, np.nan],
        }
    )
    summary = summarise_neurons(table, {"a": (5, 8)}, 200, seed=0).set_index(["layer", "mode"])
    pd.testing.assert_frame_equal(summary.loc["a"], summary.loc["all"])
    plain, multi_scale = summary.loc[("a", "plain")], summary.loc[("a", "multi_scale")]
    assert (plain["n_active"], plain["n_dead"], plain["n"]) == (5, 3, 3)
    assert (plain["exceeds_mean"], multi_scale["exceeds_mean"]) == pytest.approx((1, 2 / 3))
    assert (plain["exceeds_peak"], multi_scale["exceeds_peak"]) == pytest.approx((1, 1 / 3))
    assert np.isnan(plain[["high_frequency_share_low", "difference_to_plain_high"]].astype(float)).all()
    assert plain["high_frequency_share"] == pytest.approx(0.8)
    assert multi_scale["high_frequency_share_n"] == 2
    assert multi_scale["difference_to_plain"] == pytest.approx(-0.4)
    assert plain["difference_to_plain"] == 0


@pytest.mark.parametrize(
    ("cell", "field", "corner"),
    [
        ((0, 0), (0, 0, 4, 4), (0, 0)),
        ((9, 49), (14, 14, 18, 18), (22, 182)),
        ((15, 99), (28, 28, 32, 32), (32, 368)),
    ],
)
def test_patch_shows_the_field_with_its_surroundings_within_the_sheet(cell, field, corner):
    sheets = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 400), dtype=np.uint8)
    patch = _patch(sheets, 1, cell, ReceptiveField((4, 4), (4, 4), (0, 0)))
    assert patch.field == field
    y, x = corner
    np.testing.assert_array_equal(patch.pixels, sheets[1, 0, y : y + 32, x : x + 32])


def test_patch_of_a_field_larger_than_the_sheet_is_as_high_as_it():
    sheets = np.zeros((1, 1, 64, 400), np.uint8)
    patch = _patch(sheets, 0, (1, 1), ReceptiveField((111, 111), (16, 16), (-40, -40)))
    assert patch.pixels.shape == (64, 111)
    assert patch.field == (0, 0, 64, 87)
