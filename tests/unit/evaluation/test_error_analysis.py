import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.evaluation.error_analysis import (
    compare_groups,
    edge_groups,
    edge_relevance,
    measure_edge_hypothesis,
    most_confident_errors,
)


def predicted(labels, probabilities, split="test"):
    probabilities = np.asarray(probabilities)
    n = len(labels)
    columns = {f"p_{k}": p for k, p in enumerate(probabilities.T)}
    about = {"row": range(10, 10 + n), "image_id": [f"{i}.jpg" for i in range(n)], "split": split, "label": labels}
    return pd.DataFrame({**about, "predicted": probabilities.argmax(axis=1), **columns})


def sheets_with_black_end(n, width=20, black=6):
    sheets = np.full((n, 4, width), 100, dtype=np.uint8)
    sheets[:, :, :black] = 2
    return sheets


def measured(predictions, evidence, sheets):
    shares, even = (edge_relevance(maps, sheets, reach=2) for maps in (evidence, np.ones_like(evidence)))
    return measure_edge_hypothesis(predictions, shares, even, of_class=2, n_samples=200, seed=0)


def compare(one, other, n_samples=200, seed=0):
    return compare_groups(np.array(one), np.array(other), n_samples=n_samples, seed=seed)


def test_errors_of_a_binary_task_are_grouped_and_the_most_confident_come_first():
    probabilities = [[0.4, 0.6], [0.1, 0.9], [0.8, 0.2], [0.7, 0.3], [0.2, 0.8], [0.55, 0.45]]
    predictions = pd.concat([predicted([0, 0, 0, 1, 1, 1], probabilities), predicted([0], [[0, 1]], "validation")])
    errors = most_confident_errors(predictions, per_group=5)
    assert errors.columns.tolist() == ["row", "image_id", "label", "predicted", "confidence", "group", "class"]
    assert errors["row"].tolist() == [11, 10, 13, 15]
    assert errors["confidence"].tolist() == [0.9, 0.6, 0.7, 0.55]
    assert errors["group"].tolist() == ["false_positive"] * 2 + ["false_negative"] * 2
    assert errors["class"].tolist() == [1] * 4
    assert most_confident_errors(predictions, per_group=1)["row"].tolist() == [11, 13]


def test_false_positives_of_several_classes_are_those_of_the_predicted_class():
    probabilities = np.eye(3)[[1, 1, 2, 0, 2, 0]] * 0.6 + 0.1
    errors = most_confident_errors(predicted([0, 2, 0, 2, 2, 1], probabilities), per_group=9)
    assert errors[["row", "group", "class"]].to_numpy().tolist() == [
        [10, "false_positive", 1],  # defect-free, taken for class 1
        [11, "false_positive", 1],  # class 2, taken for class 1
        [12, "false_positive", 2],
        [15, "false_negative", 1],
        [13, "false_negative", 2],
    ]


def test_without_errors_the_table_is_empty_and_keeps_its_columns():
    errors = most_confident_errors(predicted([0, 1], np.eye(2)), per_group=3)
    assert errors.empty
    assert "group" in errors.columns


def test_groups_of_a_class():
    predictions = predicted([2, 0, 2, 1, 0], np.eye(3)[[2, 2, 1, 1, 0]])
    assert edge_groups(predictions, 2).tolist() == [
        "true_positive",
        "false_positive",
        "false_negative",
        "other",
        "other",
    ]


def test_edge_relevance_of_known_maps():
    evidence = np.zeros((4, 4, 20), dtype=np.float32)
    evidence[0, 1, 5] = evidence[0, 2, 6] = 1  # one pixel on each side of the edge
    evidence[0, 0, 15] = 2
    evidence[1] = 1
    evidence[3, 0, 7] = 1
    shares = edge_relevance(evidence, sheets_with_black_end(4), reach=1)
    assert shares[:2] == pytest.approx([1 / 2, 2 / 20])
    assert np.isnan(shares[2])  # no relevance
    assert shares[3] == 0


def test_sheet_without_a_black_end_has_no_edge_relevance():
    sheets = sheets_with_black_end(2)
    sheets[1] = 100
    assert np.isnan(edge_relevance(np.ones((2, 4, 20), dtype=np.float32), sheets, reach=3)).tolist() == [False, True]


@settings(max_examples=60, deadline=None)
@given(
    one=st.lists(st.integers(0, 5), min_size=5, max_size=12),
    other=st.lists(st.integers(0, 5), min_size=5, max_size=12),
)
def test_effect_is_the_difference_of_won_and_lost_pairs(one: list[int], other: list[int]):
    pairs = [np.sign(a - b) for a in one for b in other]
    test = compare(one, other)
    assert test["effect"] == pytest.approx(np.mean(pairs))
    assert -1 <= test["effect_low"] <= test["effect"] + 1e-9
    assert test["effect"] - 1e-9 <= test["effect_high"] <= 1


def test_interval_of_the_effect_is_that_of_resampling_both_groups_one_by_one():
    rng = np.random.default_rng(1)
    one, other = rng.normal(0.5, 1, 30).round(1), rng.normal(0, 1, 40).round(1)
    test = compare(one, other, n_samples=4000)
    drawn = [np.sign(rng.choice(one, len(one))[:, None] - rng.choice(other, len(other))).mean() for _ in range(4000)]
    slow = np.percentile(drawn, [2.5, 97.5])
    assert (test["effect_low"], test["effect_high"]) == pytest.approx(slow, abs=0.02)
    assert test == compare(one, other, n_samples=4000)


def test_groups_that_are_wholly_apart_differ_by_the_exact_p_value():
    test = compare(np.arange(5) + 10.0, np.arange(5) + 0.0)
    # Of the 252 ways to rank 5 against 5, two are this extreme.
    assert (test["u"], test["p_value"], test["note"]) == (25.0, pytest.approx(2 / 252), None)
    assert (test["effect_low"], test["effect"], test["effect_high"]) == (1, 1, 1)


def test_groups_that_are_too_small_are_not_compared():
    test = compare(np.arange(4.0), np.arange(50.0))
    assert set(test) == {"u", "p_value", "effect", "effect_low", "effect_high", "note"}
    assert all(value is None for name, value in test.items() if name != "note")
    assert test["note"] == "4 against 50 sheets with a black end are too few to compare"


def test_edge_hypothesis_compares_false_positives_with_both_other_groups():
    # Six false positives that look at the edge, six true positives that do not, six others that half do.
    labels, taken_for = [0] * 6 + [2] * 6 + [0] * 7, [2] * 12 + [0] * 7
    evidence = np.zeros((19, 4, 20), dtype=np.float32)
    evidence[:6, 0, 6] = 1
    evidence[6:12, 0, 18] = 1
    evidence[12:, 0, [6, 18]] = 1
    sheets = sheets_with_black_end(19)
    sheets[18] = 100
    record = measured(predicted(labels, np.eye(3)[taken_for]), evidence, sheets)
    assert [record["groups"][name]["median"] for name in ("false_positive", "true_positive", "other")] == [1, 0, 0.5]
    others = record["groups"]["other"]
    assert (others["n"], others["n_black_end"], others["n_compared"]) == (7, 6, 6)
    assert others["black_end"] == pytest.approx(6 / 7)
    assert others["median_without_preference"] == pytest.approx(4 / 20)
    assert record["tests"]["true_positive"]["effect"] == record["tests"]["other"]["effect"] == 1
    assert record["tests"]["true_positive"]["p_value"] < 0.01
    assert record["groups"]["false_negative"] == {
        "n": 0,
        "n_black_end": 0,
        "black_end": None,
        "black_end_interval": [None, None],
        "n_compared": 0,
        "lower_quartile": None,
        "median": None,
        "upper_quartile": None,
        "median_without_preference": None,
    }
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_map_without_relevance_counts_as_a_sheet_with_a_black_end_but_is_not_compared():
    record = measured(
        predicted([0, 0], np.eye(3)[[2, 2]]), np.zeros((2, 4, 20), dtype=np.float32), sheets_with_black_end(2)
    )
    found = record["groups"]["false_positive"]
    assert (found["n"], found["n_black_end"], found["n_compared"], found["median"]) == (2, 2, 0, None)
    assert "0 against 0" in record["tests"]["other"]["note"]
