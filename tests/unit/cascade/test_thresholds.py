from itertools import product
from typing import Any

import numpy as np
import pytest

from steel_xai.cascade.held_out import HeldOut
from steel_xai.cascade.thresholds import Thresholds, choose_thresholds, read_thresholds

NAMES = ["a", "b"]
CANDIDATES = [0.2, 0.5, 0.8]


def _random(seed: int, n: int = 15) -> HeldOut:
    rng = np.random.default_rng(seed)
    true = rng.integers(0, 2, (n, 2)) * rng.integers(1, 9, (n, 2))
    found = rng.integers(0, 2, (3, n, 2)) * rng.integers(1, 9, (3, n, 2))
    both = np.minimum(true, found) * rng.integers(0, 2, found.shape)
    return HeldOut(np.arange(n), rng.random(n), rng.random((n, 2)), np.array([0, 4, 9]), true, found, both)


def _mean_dice(part: HeldOut, gate, labels, places) -> float:
    """Average the Dice one sheet and class at a time."""
    scores = []
    for i, k in product(range(len(part.rows)), range(2)):
        runs = (gate is None or part.gate[i] >= gate) and (labels is None or part.labels[i, k] >= labels[k])
        found, both = (part.found[places[k], i, k], part.both[places[k], i, k]) if runs else (0, 0)
        total = found + part.true[i, k]
        scores.append(2 * both / total if total else 1)
    return float(np.mean(scores))


@pytest.mark.parametrize("seed", range(3))
def test_no_combination_is_better_than_the_one_chosen(seed):
    part = _random(seed)
    chosen = choose_thresholds(part, CANDIDATES, NAMES)
    grids: dict[str, tuple[Any, Any]] = {
        "unets": ([None], [None]),
        "gate_unets": (CANDIDATES, [None]),
        "labels_unets": ([None], list(product(CANDIDATES, repeat=2))),
        "gate_labels_unets": (CANDIDATES, list(product(CANDIDATES, repeat=2))),
    }
    assert list(chosen) == list(grids)
    for name, (gates, labels) in grids.items():
        tried = [_mean_dice(part, *way) for way in product(gates, labels, product(range(3), repeat=2))]
        one = read_thresholds(chosen[name], NAMES)
        places = [part.areas.tolist().index(area) for area in one.minimum_areas]
        assert chosen[name]["validation_dice"] == pytest.approx(max(tried))
        assert _mean_dice(part, one.gate, one.labels, places) == pytest.approx(max(tried))


def test_middle_threshold_and_smallest_area_of_equals_are_taken():
    true = np.array([[0, 0], [4, 4]])
    found = np.stack([true, true])
    part = HeldOut(
        np.arange(2), np.array([0.1, 0.9]), np.array([[0.1] * 2, [0.9] * 2]), np.array([0, 2]), true, found, found
    )
    chosen = choose_thresholds(part, CANDIDATES, NAMES)["gate_labels_unets"]
    assert chosen["gate"] == 0.5
    assert chosen["labels"] == {"a": 0.5, "b": 0.5}
    assert chosen["minimum_areas"] == {"a": 0, "b": 0}


def test_sheets_at_the_threshold_pass():
    thresholds = Thresholds(0.5, [0.2, 0.8], [0, 0])
    gate, labels = np.array([0.5, 0.4, 0.9]), np.array([[0.2, 0.7], [0.9, 0.9], [0.1, 0.8]])
    assert thresholds.passes(gate).tolist() == [True, False, True]
    assert thresholds.runs(gate, labels).tolist() == [[True, False], [False, False], [False, True]]
    assert Thresholds(None, None, [0, 0]).runs(gate, labels).all()
