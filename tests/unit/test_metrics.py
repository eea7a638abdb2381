import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    f1_score,
    precision_recall_fscore_support,
    roc_auc_score,
)

from steel_xai.metrics import (
    CLASS_SCORES,
    SCORES,
    _weighted_scores,
    bootstrap_intervals,
    class_intervals,
    class_scores,
    labels_and_probabilities,
    score,
)


def example(n, n_classes, seed=0, ties=False):
    rng = np.random.default_rng(seed)
    labels = np.r_[np.arange(n_classes), rng.integers(0, n_classes, n - n_classes)]
    probabilities = rng.dirichlet(np.ones(n_classes), n) + 0.5 * np.eye(n_classes)[labels]
    if ties:
        probabilities = np.round(probabilities, 1)
    return labels, probabilities / probabilities.sum(axis=1, keepdims=True)


def defined(value: float | None) -> float:
    return np.nan if value is None else value


def test_scores_of_a_case_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    defect = np.array([0.1, 0.2, 0.6, 0.55, 0.4])
    found = score(labels, np.stack([1 - defect, defect], axis=1))
    # One of two defects found, one of three false alarms; 4 of 6 pairs in the right order.
    assert found == pytest.approx(
        {"accuracy": 3 / 5, "balanced_accuracy": (2 / 3 + 1 / 2) / 2, "f1": 0.5, "auc": 4 / 6}
    )


def test_scores_of_several_classes_are_those_of_scikit_learn():
    labels, probabilities = example(80, 5)
    predicted = probabilities.argmax(axis=1)
    assert score(labels, probabilities) == pytest.approx(
        {
            "accuracy": accuracy_score(labels, predicted),
            "balanced_accuracy": balanced_accuracy_score(labels, predicted),
            "f1": f1_score(labels, predicted, average="weighted"),
            "auc": roc_auc_score(labels, probabilities, multi_class="ovr", average="macro"),
        }
    )


@given(
    n_classes=st.integers(2, 5), n=st.integers(6, 30), seed=st.integers(0, 10**6), ties=st.booleans(), data=st.data()
)
@settings(max_examples=60, deadline=None)
def test_fast_scores_of_a_resample_are_the_slow_ones(n_classes, n, seed, ties, data):
    labels, probabilities = example(n, n_classes, seed, ties)
    rows = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=n, max_size=n)))
    weights = np.bincount(rows, minlength=n)[None].astype(float)
    fast = _weighted_scores(labels, probabilities, weights)
    slow = score(labels[rows], probabilities[rows])
    for name in SCORES:
        np.testing.assert_allclose(fast[name], [defined(slow[name])], atol=1e-12, err_msg=name)


def test_intervals_are_the_percentiles_of_slowly_rescored_resamples():
    labels, probabilities = example(60, 2)
    rng = np.random.default_rng(3)
    slow = []
    for _ in range(400):
        rows = rng.integers(0, 60, 60)
        slow.append(roc_auc_score(labels[rows], probabilities[rows, 1]))
    found = bootstrap_intervals(labels, probabilities, 4000, seed=3)["auc"]
    assert found == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.02)


def test_interval_of_accuracy_covers_the_truth_about_as_often_as_it_says():
    rng = np.random.default_rng(0)
    covered = []
    for seed in range(150):
        labels = rng.integers(0, 2, 120)
        predicted = np.where(rng.random(120) < 0.8, labels, 1 - labels)
        low, high = bootstrap_intervals(labels, np.eye(2)[predicted], 300, seed)["accuracy"]
        covered.append(defined(low) <= 0.8 <= defined(high))
    assert 0.88 <= np.mean(covered) <= 0.99


def test_intervals_follow_their_seed_and_hold_the_score():
    labels, probabilities = example(100, 3)
    found = bootstrap_intervals(labels, probabilities, 200, seed=1)
    assert found == bootstrap_intervals(labels, probabilities, 200, seed=1)
    assert found != bootstrap_intervals(labels, probabilities, 200, seed=2)
    for name, value in score(labels, probabilities).items():
        low, high = found[name]
        assert defined(low) <= defined(value) <= defined(high)


def test_undefined_scores_are_none_and_valid_json():
    labels, probabilities = np.zeros(4, int), np.tile([0.9, 0.1], (4, 1))
    found = score(labels, probabilities)
    intervals = bootstrap_intervals(labels, probabilities, 100, seed=0)
    assert (found["auc"], found["f1"], found["accuracy"]) == (None, None, 1.0)
    assert intervals["auc"] == [None, None]
    json.dumps([found, intervals], allow_nan=False)


def test_class_that_some_resamples_lack_is_left_out_of_those():
    labels = np.array([0] * 20 + [1] * 20 + [2])
    low, high = bootstrap_intervals(labels, np.eye(3)[labels], 300, seed=0)["balanced_accuracy"]
    assert low == high == 1


def test_class_scores_of_a_case_worked_out_by_hand():
    labels = np.array([0, 0, 0, 1, 1])
    defect = np.array([0.1, 0.2, 0.6, 0.55, 0.4])
    sound, faulty = class_scores(labels, np.stack([1 - defect, defect], axis=1))
    assert sound == pytest.approx({"precision": 2 / 3, "recall": 2 / 3, "f1": 2 / 3, "auc": 4 / 6, "n": 3})
    assert faulty == pytest.approx({"precision": 1 / 2, "recall": 1 / 2, "f1": 1 / 2, "auc": 4 / 6, "n": 2})


def slow_class_scores(labels, probabilities):
    n_classes = probabilities.shape[1]
    columns = precision_recall_fscore_support(
        labels, probabilities.argmax(axis=1), labels=range(n_classes), zero_division=np.nan
    )
    aucs = [
        roc_auc_score(labels == k, probabilities[:, k]) if 0 < (labels == k).sum() < len(labels) else np.nan
        for k in range(n_classes)
    ]
    return [
        dict(zip(("precision", "recall", "f1", "n", "auc"), (*values, auc), strict=True))
        for values, auc in zip(np.transpose(columns), aucs, strict=True)
    ]


@given(
    n_classes=st.integers(2, 5), n=st.integers(6, 30), seed=st.integers(0, 10**6), ties=st.booleans(), data=st.data()
)
@settings(max_examples=60, deadline=None)
def test_class_scores_are_those_of_scikit_learn_also_where_undefined(n_classes, n, seed, ties, data):
    labels, probabilities = example(n, n_classes, seed, ties)
    rows = np.array(data.draw(st.lists(st.integers(0, n - 1), min_size=1, max_size=n)))
    found = class_scores(labels[rows], probabilities[rows])
    for fast, slow in zip(found, slow_class_scores(labels[rows], probabilities[rows]), strict=True):
        for name, value in slow.items():
            np.testing.assert_allclose(defined(fast[name]), value, atol=1e-12, err_msg=name)


@pytest.mark.parametrize("n_classes", [2, 4])
def test_class_intervals_are_the_percentiles_of_slowly_rescored_resamples(n_classes):
    labels, probabilities = example(60, n_classes)
    rng = np.random.default_rng(3)
    slow = []
    for _ in range(200):
        rows = rng.integers(0, 60, 60)
        # One class against the rest is all that its scores depend on.
        found, guess = labels[rows] == 1, probabilities[rows].argmax(axis=1) == 1
        precision, recall, f1, _ = precision_recall_fscore_support(found, guess, average="binary", zero_division=np.nan)
        slow.append([precision, recall, f1, roc_auc_score(found, probabilities[rows, 1])])
    fast = class_intervals(labels, probabilities, 4000, seed=3)[1]
    for name, values in zip(CLASS_SCORES, np.transpose(slow), strict=True):
        assert fast[name] == pytest.approx(np.nanpercentile(values, [2.5, 97.5]), abs=0.05)


def test_intervals_of_both_classes_and_of_the_whole_agree_where_they_mean_the_same():
    labels, probabilities = example(50, 2)
    whole = bootstrap_intervals(labels, probabilities, 300, seed=5)
    defect = class_intervals(labels, probabilities, 300, seed=5)[1]
    assert {"f1": defect["f1"], "auc": defect["auc"]} == {"f1": whole["f1"], "auc": whole["auc"]}


def test_scores_of_a_class_neither_labelled_nor_predicted_are_none_and_valid_json():
    labels, probabilities = np.array([0, 1, 1]), np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1]])
    scores, intervals = class_scores(labels, probabilities), class_intervals(labels, probabilities, 100, seed=0)
    assert scores[2] == {"precision": None, "recall": None, "f1": None, "auc": None, "n": 0}
    assert intervals[2] == {name: [None, None] for name in CLASS_SCORES}
    json.dumps([scores, intervals], allow_nan=False)


def test_labels_and_probabilities_are_those_of_the_split_in_the_order_of_the_classes():
    columns = {f"p_{k}": [k / 100, k / 50] for k in range(11)}
    predictions = pd.DataFrame({"split": ["test", "validation"], "label": [3, 4], "predicted": [0, 0], **columns})
    labels, probabilities = labels_and_probabilities(predictions, "validation")
    assert labels.tolist() == [4]
    assert probabilities.tolist() == [[k / 50 for k in range(11)]]
