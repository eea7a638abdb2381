import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binomtest

from steel_xai.evaluation.abstention import (
    THRESHOLDS,
    abstention_table,
    choose_threshold,
    measure_abstention,
    risk_coverage_area,
)
from steel_xai.metrics import score


def binary(confidence, correct):
    """Make labels and probabilities of two classes with the given confidences, right or wrong as given."""
    confidence, correct = np.asarray(confidence, dtype=float), np.asarray(correct, dtype=bool)
    predicted = np.arange(len(confidence)) % 2
    probabilities = np.where(np.eye(2)[predicted] > 0, confidence[:, None], 1 - confidence[:, None])
    return np.where(correct, predicted, 1 - predicted), probabilities


def random_example(n, n_classes, seed, ties=False):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, n_classes, n)
    probabilities = rng.dirichlet(np.ones(n_classes), n) + 0.5 * np.eye(n_classes)[labels]
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    return labels, np.round(probabilities, 1) if ties else probabilities


def table(**splits):
    parts = []
    for split, (labels, probabilities) in splits.items():
        columns = {f"p_{k}": probabilities[:, k] for k in range(probabilities.shape[1])}
        parts.append(pd.DataFrame({"split": split, "label": labels, **columns}))
    return pd.concat(parts, ignore_index=True)


CONFIDENCE, CORRECT = [0.95, 0.9, 0.9, 0.8, 0.7, 0.6], [1, 1, 0, 1, 1, 0]


def test_lowest_threshold_that_reaches_the_target_is_chosen():
    # Accuracy from the top: 1, 2/3 (two sheets at 0.9), 3/4, 4/5, 4/6.
    labels, probabilities = binary(CONFIDENCE, CORRECT)
    chosen = {target: choose_threshold(labels, probabilities, target) for target in (0.5, 0.7, 0.8, 0.81, 1.0)}
    assert chosen == {0.5: 0.6, 0.7: 0.7, 0.8: 0.7, 0.81: 0.95, 1.0: 0.95}


def test_no_threshold_is_chosen_where_none_reaches_the_target():
    labels, probabilities = binary([0.9, 0.9, 0.8], [1, 0, 1])
    assert choose_threshold(labels, probabilities, 0.7) is None


@given(
    n_classes=st.integers(2, 5),
    n=st.integers(1, 40),
    seed=st.integers(0, 10**6),
    ties=st.booleans(),
    target=st.floats(0.3, 1),
)
@settings(max_examples=100, deadline=None)
def test_chosen_threshold_is_the_slow_one(n_classes, n, seed, ties, target):
    labels, probabilities = random_example(n, n_classes, seed, ties)
    confidence, correct = probabilities.max(axis=1), probabilities.argmax(axis=1) == labels
    slow = [c for c in confidence if correct[confidence >= c].mean() >= target]
    assert choose_threshold(labels, probabilities, target) == (min(slow) if slow else None)


def test_risk_coverage_area_of_a_case_worked_out_by_hand():
    # Risks while answering 1, 3 (two enter together, both count), 4, 5, 6 sheets.
    area = risk_coverage_area(*binary(CONFIDENCE, CORRECT))
    expected = (0 + 1 / 3 + 1 / 3 + 1 / 4 + 1 / 5 + 2 / 6) / 6
    optimum = (0 + 0 + 0 + 0 + 1 / 5 + 2 / 6) / 6
    assert area == pytest.approx({"aurc": expected, "e_aurc": expected - optimum})


def test_confidence_that_ranks_all_errors_last_has_no_excess():
    assert risk_coverage_area(*binary([0.9, 0.8, 0.7, 0.6], [1, 1, 0, 0]))["e_aurc"] == pytest.approx(0)
    assert risk_coverage_area(*binary([0.9, 0.8], [1, 1])) == {"aurc": 0, "e_aurc": 0}


def test_confidence_without_differences_has_the_error_rate_as_area():
    assert risk_coverage_area(*binary([0.8] * 5, [1, 0, 1, 1, 0]))["aurc"] == pytest.approx(2 / 5)


@given(n_classes=st.integers(2, 5), n=st.integers(1, 40), seed=st.integers(0, 10**6), ties=st.booleans())
@settings(max_examples=100, deadline=None)
def test_risk_coverage_area_is_the_slow_one_in_any_order_of_the_sheets(n_classes, n, seed, ties):
    labels, probabilities = random_example(n, n_classes, seed, ties)
    confidence, wrong = probabilities.max(axis=1), probabilities.argmax(axis=1) != labels
    area = risk_coverage_area(labels, probabilities)
    # Geifman et al. 2019: the mean over sheets of the risk at the threshold that just answers them.
    assert area["aurc"] == pytest.approx(np.mean([wrong[confidence >= c].mean() for c in confidence]))
    ideal = np.sort(wrong)
    assert area["aurc"] - area["e_aurc"] == pytest.approx(np.mean([ideal[: i + 1].mean() for i in range(n)]))
    assert area["e_aurc"] >= -1e-12
    order = np.random.default_rng(seed).permutation(n)
    assert risk_coverage_area(labels[order], probabilities[order]) == pytest.approx(area)


@pytest.mark.parametrize("n_classes", [2, 5])
def test_table_scores_the_answered_sheets_of_every_threshold(n_classes):
    data = {"validation": random_example(40, n_classes, 1), "test": random_example(60, n_classes, 2)}
    found = abstention_table(table(**data))
    assert list(found.columns[:6]) == [
        "split", "threshold", "coverage", "n_answered", "accuracy", "balanced_accuracy"
    ]  # fmt: skip
    for split, (labels, probabilities) in data.items():
        part = found[found["split"] == split]
        assert part["threshold"].tolist() == THRESHOLDS.tolist()
        for row in part.iloc[::8].itertuples():
            answered = probabilities.max(axis=1) >= row.threshold
            assert row.n_answered == answered.sum()
            assert row.coverage == answered.mean()
            if not answered.any():
                assert np.isnan([row.accuracy, row.balanced_accuracy, row.accuracy_low, row.accuracy_high]).all()
                continue
            slow = score(labels[answered], probabilities[answered])
            assert (row.accuracy, row.balanced_accuracy) == pytest.approx((slow["accuracy"], slow["balanced_accuracy"]))
            assert row.accuracy_low <= row.accuracy <= row.accuracy_high


def test_thresholds_hold_the_grid_and_are_decimal_numbers():
    assert {*(k / 100 for k in range(101)), 0.995, 0.999, 0.9999} <= set(THRESHOLDS.tolist())
    assert (np.diff(THRESHOLDS) > 0).all()


def test_sheet_is_answered_at_its_own_confidence_also_in_single_precision():
    labels, probabilities = binary([0.75, 0.6], [1, 1])
    found = abstention_table(table(validation=(labels, probabilities), test=(labels, probabilities.astype(np.float32))))
    part = found[found["split"] == "test"].set_index("threshold")["n_answered"]
    assert (part[0.75], part[0.76]) == (1, 0)


def test_record_verifies_on_test_what_validation_chose():
    validation = binary(CONFIDENCE, CORRECT)
    test = binary([0.99, 0.85, 0.75, 0.72, 0.71, 0.3 + 0.35], [1, 1, 1, 1, 0, 1])
    record = measure_abstention(table(validation=validation, test=test), 0.8, 200, seed=0)
    assert (record["threshold"], record["note"]) == (0.7, None)
    assert record["validation"] == pytest.approx(
        {"accuracy": 0.8, "balanced_accuracy": score(*(a[:5] for a in validation))["balanced_accuracy"]}
        | {"coverage": 5 / 6, "n_answered": 5}
    )
    interval = binomtest(4, 5).proportion_ci(0.95, method="exact")
    assert record["test"]["accuracy"] == 0.8
    assert record["test"]["n_answered"] == 5
    assert record["test"]["accuracy_interval"] == pytest.approx([interval.low, interval.high])
    assert record["reached_on_test"] is True
    assert measure_abstention(table(validation=validation, test=test), 0.75, 200, seed=0)["threshold"] == 0.7
    wrong = (1 - test[0], test[1])
    assert measure_abstention(table(validation=validation, test=wrong), 0.8, 200, seed=0)["reached_on_test"] is False


def test_interval_of_the_area_is_the_percentiles_of_slowly_rescored_resamples():
    labels, probabilities = random_example(60, 3, 0)
    both = table(validation=(labels, probabilities), test=(labels, probabilities))
    rng = np.random.default_rng(1)
    slow = []
    for _ in range(1000):
        rows = rng.integers(0, 60, 60)
        slow.append(risk_coverage_area(labels[rows], probabilities[rows])["aurc"])
    found = measure_abstention(both, 0.9, 4000, seed=1)["aurc_interval"]
    assert found == pytest.approx(np.percentile(slow, [2.5, 97.5]), abs=0.02)


def test_target_out_of_reach_is_noted_and_nothing_is_answered():
    validation, test = binary([0.9, 0.9, 0.8, 0.8], [1, 0, 1, 1]), binary([0.9, 0.8], [1, 1])
    record = measure_abstention(table(validation=validation, test=test), 0.99, 100, seed=0)
    assert record["threshold"] is None
    assert record["reached_on_test"] is None
    assert record["note"] == (
        "No threshold reaches an accuracy of 99.0% on the 4 validation sheets: "
        "the best, 0.8000, reaches 75.0% with 4 answered."
    )
    nothing = {"accuracy": None, "balanced_accuracy": None, "coverage": 0, "n_answered": 0}
    assert record["validation"] == nothing
    assert record["test"] == {**nothing, "accuracy_interval": [None, None]}
    json.dumps(record, allow_nan=False)


def test_test_sheets_all_below_the_threshold_leave_the_target_unverified():
    record = measure_abstention(table(validation=binary([0.9], [1]), test=binary([0.8], [1])), 0.99, 100, seed=0)
    assert (record["threshold"], record["reached_on_test"], record["test"]["n_answered"]) == (0.9, None, 0)


def test_record_follows_its_seed():
    labels, probabilities = random_example(40, 5, 3)
    both = table(validation=(labels, probabilities), test=(labels, probabilities))
    first, again, other = (measure_abstention(both, 0.9, 100, seed) for seed in (1, 1, 2))
    assert first == again
    assert first["aurc_interval"] != other["aurc_interval"]
