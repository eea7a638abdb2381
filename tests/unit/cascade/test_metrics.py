import json
import logging

import numpy as np
import pytest
from sklearn.metrics import f1_score, precision_score, recall_score
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai.cascade.held_out import arrays_of
from steel_xai.cascade.metrics import (
    classification,
    compare,
    cost_of_setup,
    dice_of_setup,
    measure_cascade,
    score_setup,
)
from steel_xai.cascade.thresholds import choose_thresholds

HOW: dict[str, int] = {"n_samples": 100, "seed": 0}


def test_classification_agrees_with_scikit_learn():
    rng = np.random.default_rng(0)
    predicted, true = rng.random(50) < 0.4, rng.random(50) < 0.5
    scores = classification(predicted, true, **HOW)
    assert scores["precision"] == pytest.approx(precision_score(true, predicted))
    assert scores["recall"] == pytest.approx(recall_score(true, predicted))
    assert scores["f1"] == pytest.approx(f1_score(true, predicted))
    for name in ("precision", "recall", "f1"):
        low, high = scores["intervals"][name]
        assert low < scores[name] < high
    assert scores["true_positives"] + scores["false_negatives"] == true.sum()


def test_what_is_undefined_is_none():
    scores = classification(np.zeros(3, bool), np.zeros(3, bool), **HOW)
    assert scores["precision"] is scores["recall"] is scores["f1"] is None
    assert scores["intervals"]["f1"] == [None, None]
    assert classification(np.zeros(0, bool), np.zeros(0, bool), **HOW)["n"] == 0


def test_dice_of_a_setup_is_that_of_the_networks_that_run(held_out):
    predictions, counts = held_out
    test = arrays_of(predictions, counts, "test")
    runs = np.array([[True, True], [True, True], [False, True], [True, False]])
    assert dice_of_setup(test, runs, [0, 0]).tolist() == [[1, 1], [1, 1], [1, 1], [1, 0]]
    # class 1 is smaller than its minimum area
    assert dice_of_setup(test, runs, [200, 0]).tolist() == [[1, 1], [0, 1], [1, 1], [0, 0]]


def test_mean_over_sheets_with_class_leaves_out_the_others():
    dice, true = np.array([[1, 1], [0.5, 1], [0.5, 0.1]]), np.array([[0, 0], [3, 0], [3, 3]])
    scores = score_setup(dice, true, CLASS_NAMES, **HOW)["dice"]
    assert scores["all_sheets"]["mean"]["mean"] == pytest.approx(4.1 / 6)
    assert scores["all_sheets"]["by_class"]["dark"]["mean"] == pytest.approx(0.7)
    assert scores["sheets_with_class"]["mean"]["mean"] == pytest.approx((0.5 + 0.3) / 2)
    only = {"mean": 0.1, "low": 0.1, "high": 0.1, "n": 1}
    assert scores["sheets_with_class"]["by_class"]["dark"] == pytest.approx(only)


def test_gain_is_the_mean_difference_of_pairs():
    one, other = np.array([[1, 1], [1, 0.5]]), np.array([[0, 1], [1, 0]])
    gain = compare(one, other, np.array([[0, 0], [0, 2]]), **HOW)
    assert gain["dice_all_sheets"]["mean"] == pytest.approx((0.5 + 0.25) / 2)
    assert gain["dice_sheets_with_class"] == {"mean": 0.5, "low": 0.5, "high": 0.5, "n": 1}


def test_time_of_a_setup_counts_the_steps_that_sheets_reach():
    models = {
        "gate": {"ms_per_sheet": 1.0},
        "labels": {"ms_per_sheet": 2.0},
        "unets": {name: {"ms_per_sheet": 10.0} for name in CLASS_NAMES},
    }
    passed = np.array([True, True, False, False])
    runs = np.array([[True, False], [True, True], [False, False], [False, False]])
    cost = cost_of_setup("gate_labels_unets", passed, runs, models, CLASS_NAMES)
    assert cost["ms_per_sheet"] == pytest.approx(1 + 2 * 0.5 + 10 * 3 / 4)
    assert cost["saved_by_gate"] == 0.5
    assert cost["saved_by_labels"] == pytest.approx(1 / 8)
    alone = cost_of_setup("unets", np.ones(4, bool), np.ones((4, 2), bool), models, CLASS_NAMES)
    assert alone["ms_per_sheet"] == 20
    assert alone["saved_by_gate"] == alone["saved_by_labels"] == 0


def test_right_steps_find_everything(steps, sheets, held_out, parameters, caplog):
    caplog.set_level(logging.INFO, logger="steel_xai.cascade.metrics")
    predictions, counts = held_out
    chosen = choose_thresholds(arrays_of(predictions, counts, "validation"), parameters.thresholds, CLASS_NAMES)
    metrics = measure_cascade(
        steps, sheets, predictions, counts, chosen, data_source="toy", parameters=parameters, seed=0
    )
    nothing = metrics["setups"]["empty"]["dice"]["all_sheets"]["mean"]
    assert [record.getMessage() for record in caplog.records] == [
        "Cascade, test sheets of 'toy', mean Dice over all sheets and classes: whole 1.000 [1.000, 1.000] (n = 4), "
        "masks alone 1.000 [1.000, 1.000] (n = 4), "
        f"finding nothing 0.500 [{nothing['low']:.3f}, {nothing['high']:.3f}] (n = 4)"
    ]
    json.dumps(metrics, allow_nan=False)
    assert (metrics["n_validation"], metrics["n_test"], metrics["n_test_with_defect"]) == (4, 4, 3)
    assert metrics["gate"]["f1"] == metrics["labels"]["end_to_end"]["all_classes"]["f1"] == 1
    assert metrics["labels"]["past_gate"]["by_class"]["dark"]["n"] == 3
    whole, empty = metrics["setups"]["gate_labels_unets"], metrics["setups"]["empty"]
    assert whole["dice"]["all_sheets"]["mean"]["mean"] == whole["dice"]["sheets_with_class"]["mean"]["mean"] == 1
    assert empty["dice"]["all_sheets"]["mean"]["mean"] == pytest.approx(0.5)
    assert metrics["gains"]["whole_over_empty"]["dice_all_sheets"]["mean"] == pytest.approx(0.5)
    assert metrics["gains"]["gate"]["dice_all_sheets"]["mean"] == 0
    assert whole["share_past_gate"] == 0.75
    assert whole["networks_per_sheet"] == 1
    assert metrics["models"]["unets"]["dark"]["ms_per_sheet"] > 0
