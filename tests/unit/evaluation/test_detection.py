import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import binomtest
from sklearn.metrics import roc_curve

from steel_xai.errors import InputError
from steel_xai.evaluation.detection import choose_alarm_threshold, measure_detection, missed_on_roc, recall_by_size

# Few distinct values, so that ties are common.
SCORES = st.integers(0, 8).map(lambda k: k / 8)
SHEETS = st.lists(st.tuples(st.integers(0, 2), SCORES), min_size=1, max_size=30)
RATES = st.one_of(st.sampled_from([0.0, 0.05, 0.25, 0.5, 1.0]), st.floats(0, 1))


def table(validation, test):
    """Predictions from (label, defect score) pairs; row and name count on from the validation sheets."""
    pairs = [*validation, *test]
    scores = np.array([score for _, score in pairs])
    return pd.DataFrame(
        {
            "row": np.arange(len(pairs)),
            "image_id": [f"{row}.jpg" for row in range(len(pairs))],
            "split": ["validation"] * len(validation) + ["test"] * len(test),
            "label": [label for label, _ in pairs],
            "predicted": (scores > 0.5).astype(int),
            "p_0": 1 - scores,
            "p_1": scores,
        }
    )


def index_of(predictions, classes, areas=None):
    """An index of two classes from the set of classes of each sheet, and of the area of each of its classes."""
    index = predictions[["row", "image_id"]].copy()
    for k in (1, 2):
        index[f"label_{k}"] = [int(k in found) for found in classes]
    for k in (1, 2):
        area = [None if areas is None else areas[row] if k in found else 0 for row, found in enumerate(classes)]
        index[f"area_{k}"] = pd.array(area, dtype="Int64")
    return index


def measure(predictions, index, false_alarm_rate=0.25, **changes):
    arguments: dict[str, Any] = {"class_names": ["pit", "crack"], "raw_size": (10, 100), "n_samples": 50, "seed": 0}
    record = measure_detection(predictions, index, false_alarm_rate=false_alarm_rate, **(arguments | changes))
    return json.loads(json.dumps(record, allow_nan=False))


@pytest.fixture
def mill():
    """Four defect-free and four defective sheets on each side; test scores are lower by a little than validation's.

    At most one of four false alarms puts the threshold just above the second highest score 0.5.
    """
    validation = [(0, 0.1), (0, 0.2), (0, 0.5), (0, 0.75), (1, 0.3), (1, 0.6), (1, 0.7), (1, 0.9)]
    test = [(0, 0.1), (0, 0.2), (0, 0.3), (0, 0.4), (1, 0.25), (1, 0.35), (1, 0.625), (2, 0.875)]
    predictions = table(validation, test)
    classes: list[set[int]] = [set()] * 4 + [{1}] * 4 + [set()] * 4 + [{1}, {1}, {1, 2}, {2}]
    areas = [0] * 12 + [100, 200, 300, 900]
    return predictions, index_of(predictions, classes, areas)


def test_threshold_lies_just_above_the_first_sheet_that_must_not_be_reported():
    labels, scores = np.array([0, 0, 0, 0, 1]), np.array([0.1, 0.5, 0.25, 0.75, 0.0])
    for rate, below in ((0, 0.75), (0.24, 0.75), (0.25, 0.5), (0.5, 0.25), (0.99, 0.1)):
        assert choose_alarm_threshold(labels, scores, rate) == np.nextafter(below, 1)
    assert choose_alarm_threshold(labels, scores, 1) == 0


def test_threshold_counts_a_rate_that_is_met_exactly_in_spite_of_rounding():
    scores = np.arange(100) / 100
    threshold = choose_alarm_threshold(np.zeros(100, int), scores, 0.29)
    assert threshold is not None
    assert 0.29 * 100 < 29
    assert np.count_nonzero(scores >= threshold) == 29


def test_a_sheet_that_is_certainly_defective_but_has_no_defect_can_stay_unreported():
    threshold = choose_alarm_threshold(np.zeros(2, int), np.ones(2, np.float32), 0)
    assert threshold is not None
    assert threshold > 1


def test_no_threshold_without_defect_free_sheets():
    assert choose_alarm_threshold(np.array([1, 2]), np.array([0.1, 0.2]), 0.5) is None


@given(SHEETS, RATES)
def test_threshold_is_the_lowest_that_keeps_the_rate(sheets, rate):
    labels, scores = (np.array(column) for column in zip(*sheets, strict=True))
    threshold = choose_alarm_threshold(labels, scores, rate)
    assert (threshold is None) == (labels > 0).all()
    if threshold is None:
        return
    false = np.mean(scores[labels == 0] >= threshold)
    assert false <= rate
    assert threshold == 0 or np.mean(scores[labels == 0] >= np.nextafter(threshold, -1)) > rate


@given(SHEETS, RATES)
def test_missed_share_is_read_off_the_roc_curve(sheets, rate):
    labels, scores = (np.array(column) for column in zip(*sheets, strict=True))
    missed = missed_on_roc(labels, scores, rate)
    if len(set(labels > 0)) < 2:
        assert np.isnan(missed)
        return
    false, found, _ = roc_curve(labels > 0, scores, drop_intermediate=False)
    false_end, found_end = false[false > rate], found[false > rate]
    start, height = false[false <= rate][-1], found[false <= rate][-1]
    expected = np.interp(rate, [start, *false_end[:1]], [height, *found_end[:1]])
    assert missed == pytest.approx(1 - expected)


def test_rates_at_the_threshold_of_validation_and_at_the_target_itself(mill):
    record = measure(*mill)
    assert record["threshold"] == np.nextafter(0.5, 1)
    assert [record[key] for key in ("n_validation_defect_free", "n_defect_free", "n_defective")] == [4, 4, 4]
    assert (record["false_alarm_rate"], record["missed_defect_rate"]) == (0, 0.5)
    # On the test sheets themselves 0.35 could be the threshold: one false alarm, three of four defects found.
    assert record["missed_defect_rate_at_target"] == 0.25
    assert record["notes"] == []


def test_intervals_of_shares_are_those_of_clopper_and_pearson(mill):
    record = measure(*mill)
    for key, hits in (("false_alarm_rate_interval", 0), ("missed_defect_rate_interval", 2)):
        interval = binomtest(hits, 4).proportion_ci(0.95, method="exact")
        assert record[key] == pytest.approx([interval.low, interval.high])


def test_interval_of_the_missed_share_at_the_target_resamples_the_sheets():
    rng = np.random.default_rng(0)
    labels = np.repeat([0, 1], 200)
    scores = np.clip(rng.normal(0.4 + 0.2 * labels, 0.15), 0, 1)
    predictions = table([(0, 0.1)], list(zip(labels, scores, strict=True)))
    index = index_of(predictions, [{1} if label else set() for label in predictions["label"]])

    def ends(seed):
        return measure(predictions, index, 0.1, n_samples=500, seed=seed)["missed_defect_rate_at_target_interval"]

    draws = [missed_on_roc(labels[rows], scores[rows], 0.1) for rows in (rng.integers(0, 400, 400) for _ in range(500))]
    assert ends(1) == pytest.approx(np.percentile(draws, [2.5, 97.5]), abs=0.03)
    assert ends(1) == ends(1) != ends(2)


def test_recall_by_class_counts_a_sheet_of_several_classes_for_each(mill):
    rows = measure(*mill)["recall_by_class"]
    found = [[row[key] for key in ("class", "name", "n", "detected", "recall")] for row in rows]
    assert found == [[1, "pit", 3, 1, pytest.approx(1 / 3)], [2, "crack", 2, 2, 1]]
    assert rows[1]["recall_interval"] == pytest.approx([0.025**0.5, 1])


def test_a_class_without_test_sheets_has_no_recall(mill):
    predictions, index = mill
    row = measure(predictions, index.assign(label_2=0))["recall_by_class"][1]
    assert row == {"class": 2, "name": "crack", "n": 0, "detected": 0, "recall": None, "recall_interval": [None, None]}


def test_areas_are_added_up_over_the_classes_and_shared_out_over_the_sheet(mill):
    rows = measure(*mill)["recall_by_size"]
    # The areas are 100, 200, 2 x 300 and 900 raw pixels of 1000.
    edges = [[row[key] for key in ("area_from", "area_to", "share_from", "share_to")] for row in rows]
    assert edges == [[100, 200, 0.1, 0.2], [200, 600, 0.2, 0.6], [600, 900, 0.6, 0.9]]
    assert [[row[key] for key in ("size", "n", "detected", "recall")] for row in rows] == [
        ["small", 2, 0, 0],
        ["medium", 1, 1, 1],
        ["large", 1, 1, 1],
    ]


@given(hnp.arrays(np.int64, st.integers(1, 40), elements=st.integers(1, 10**5), unique=True))
def test_distinct_areas_fill_the_bins_equally(areas):
    rows = recall_by_size(areas, areas % 2 == 0, (256, 1600))
    ordered = np.sort(areas)
    n = len(areas)
    expected = np.split(ordered, [-(-n // 3), -(-2 * n // 3)])
    assert [row["n"] for row in rows] == [len(part) for part in expected]
    assert [row["detected"] for row in rows] == [int((part % 2 == 0).sum()) for part in expected]
    assert max(row["n"] for row in rows) - min(row["n"] for row in rows) <= 1


@given(hnp.arrays(np.int64, st.integers(0, 12), elements=st.integers(1, 3)))
def test_equal_areas_share_a_bin_and_every_sheet_has_one(areas):
    rows = recall_by_size(areas, np.ones(len(areas), bool), (10, 10))
    assert sum(row["n"] for row in rows) == len(areas)
    for k, row in enumerate(rows):
        inside = (areas <= row["area_to"]) & ((areas > row["area_from"]) | (k == 0))
        assert row["n"] == inside.sum()


def test_all_areas_equal_leave_two_bins_empty():
    rows = recall_by_size(np.full(5, 7), np.array([True, True, False, False, False]), (10, 10))
    assert [(row["n"], row["recall"]) for row in rows] == [(5, 0.4), (0, None), (0, None)]


def test_labels_without_masks_have_no_recall_by_size(mill):
    predictions, _ = mill
    without = index_of(predictions, [{1} if label else set() for label in predictions["label"]])
    record = measure(predictions, without)
    assert record["recall_by_size"] is None
    assert record["recall_by_class"][0]["n"] == 4
    assert [note.split(":")[0] for note in record["notes"]] == ["the labels come without masks"]
    # As a table says it that was read from a file.
    from_file = without.astype({"area_1": float, "area_2": float})
    assert measure(predictions, from_file) == record


def test_without_defect_free_sheets_recall_is_that_of_the_predicted_class():
    predictions = table([(1, 0.9), (2, 0.2)], [(1, 0.1), (1, 0.8), (2, 0.7)])
    record = measure(predictions, index_of(predictions, [{1}, {2}, {1}, {1}, {2}], [5] * 5))
    rates = ("false_alarm_rate", "missed_defect_rate", "missed_defect_rate_at_target")
    assert [record[key] for key in ("threshold", *rates)] == [None] * 4
    assert all(record[f"{key}_interval"] == [None, None] for key in rates)
    assert [row["recall"] for row in record["recall_by_class"]] == [0.5, 1]
    assert [note.split(":")[0] for note in record["notes"]] == [
        "no defect-free validation sheet",
        "no defect-free test sheet",
    ]


@pytest.mark.parametrize(
    "test",
    [[(0, 0.1)], [(1, 0.9)], [(0, 0.1), (1, 0.9)], [(0, 0.5), (0, 0.5)], []],
    ids=["defect-free", "defective", "one of each", "ties", "none"],
)
def test_few_test_sheets_are_measured_as_far_as_they_go(test):
    predictions = table([(0, 0.2), (1, 0.8)], test)
    classes = [{1} if label else set() for label in predictions["label"]]
    record = measure(predictions, index_of(predictions, classes, [4] * len(classes)))
    labels = [label for label, _ in test]
    assert (record["false_alarm_rate"] is None) == (0 not in labels)
    assert (record["missed_defect_rate"] is None) == (1 not in labels)
    assert (record["missed_defect_rate_at_target"] is None) == (len(set(labels)) < 2)
    assert sum(row["n"] for row in record["recall_by_size"]) == sum(labels)


def test_sheets_are_found_in_the_index_by_their_row(mill):
    predictions, index = mill
    assert measure(predictions, index.sample(frac=1, random_state=0)) == measure(predictions, index)


def test_predictions_of_other_sheets_are_refused(mill):
    predictions, index = mill
    for other in (index.assign(image_id=index["image_id"].str.replace("15", "16")), index[:-1]):
        with pytest.raises(InputError, match="of other sheets"):
            measure(predictions, other)
