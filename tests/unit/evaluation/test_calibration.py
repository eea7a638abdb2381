import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from steel_xai.evaluation.calibration import (
    TEMPERATURES,
    apply_temperature,
    brier_score,
    calibrate,
    calibrated_error_range,
    calibration_error,
    fit_temperature,
    negative_log_likelihood,
    reliability,
)


def calibrated_example(n, n_classes, seed):
    """Draw labels from the very probabilities that are given."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(0, 2, (n, n_classes))
    labels = np.array([rng.choice(n_classes, p=p) for p in softmax(logits, axis=1)])
    return labels, logits


def table(split, labels, probabilities):
    columns = {f"p_{k}": probabilities[:, k] for k in range(probabilities.shape[1])}
    predicted = probabilities.argmax(axis=1)
    return pd.DataFrame({"split": split, "label": labels, "predicted": predicted, **columns})


def predictions(n, n_classes, sharpness=1.0, seed=0):
    parts = []
    for k, split in enumerate(("validation", "test")):
        labels, logits = calibrated_example(n, n_classes, 2 * seed + k)
        parts.append(table(split, labels, softmax(sharpness * logits, axis=1).astype(np.float32)))
    return pd.concat(parts, ignore_index=True)


def defined(value: float | None) -> float:
    return np.nan if value is None else value


def slow_error(labels, probabilities, bins):
    """Guo et al. 2017, equation 3, sheet by sheet."""
    members: list[list] = [[] for _ in range(bins)]
    for label, p in zip(labels, probabilities, strict=True):
        for b in range(bins):
            if b / bins < max(p) <= (b + 1) / bins:
                members[b].append((max(p), int(np.argmax(p)) == label))
    total = 0.0
    for inside in filter(None, members):
        confidence, correct = np.transpose(inside)
        total += len(inside) / len(labels) * abs(correct.mean() - confidence.mean())
    return total


# Confidences 0.55, 0.6, 0.9, 0.95: the first two share a bin of five and are right once, the others are both right.
LABELS = np.array([1, 1, 1, 0])
DEFECT = np.array([0.55, 0.4, 0.9, 0.05])
PROBABILITIES = np.stack([1 - DEFECT, DEFECT], axis=1)


def test_calibration_error_of_a_case_worked_out_by_hand():
    # 0.6 closes the bin (0.4, 0.6].
    assert calibration_error(LABELS, PROBABILITIES, 5) == pytest.approx((2 * 0.075 + 2 * 0.075) / 4)


def test_reliability_of_a_case_worked_out_by_hand():
    bins = reliability(LABELS, PROBABILITIES, 5)
    assert [b["n"] for b in bins] == [0, 0, 2, 0, 2]
    assert bins[2] == pytest.approx({"low": 0.4, "high": 0.6, "confidence": 0.575, "accuracy": 0.5, "n": 2})
    assert bins[4] == pytest.approx({"low": 0.8, "high": 1.0, "confidence": 0.925, "accuracy": 1.0, "n": 2})
    assert bins[0] == {"low": 0.0, "high": 0.2, "confidence": None, "accuracy": None, "n": 0}


def test_likelihood_and_brier_score_of_a_case_worked_out_by_hand():
    assert negative_log_likelihood(LABELS, PROBABILITIES) == pytest.approx(-np.log([0.55, 0.4, 0.9, 0.95]).mean())
    assert brier_score(LABELS, PROBABILITIES) == pytest.approx(2 * np.mean(np.square([0.45, 0.6, 0.1, 0.05])))


@given(n_classes=st.integers(2, 5), n=st.integers(1, 40), bins=st.integers(2, 20), seed=st.integers(0, 10**6))
@settings(max_examples=60, deadline=None)
def test_calibration_error_is_the_slow_one_and_that_of_its_bins(n_classes, n, bins, seed):
    labels, logits = calibrated_example(n, n_classes, seed)
    probabilities = softmax(logits, axis=1)
    found = calibration_error(labels, probabilities, bins)
    assert found == pytest.approx(slow_error(labels, probabilities, bins), abs=1e-12)
    filled = [b for b in reliability(labels, probabilities, bins) if b["n"]]
    assert sum(b["n"] for b in filled) == n
    assert found == pytest.approx(sum(b["n"] * abs(b["accuracy"] - b["confidence"]) for b in filled) / n, abs=1e-12)
    assert all(b["low"] < b["confidence"] <= b["high"] for b in filled)


@pytest.mark.parametrize("n_classes", [2, 5])
@pytest.mark.parametrize("sharpness", [0.4, 1.0, 3.0])
def test_temperature_undoes_the_sharpening_of_a_calibrated_classifier(n_classes, sharpness):
    labels, logits = calibrated_example(20_000, n_classes, seed=1)
    assert fit_temperature(labels, softmax(sharpness * logits, axis=1)) == pytest.approx(sharpness, rel=0.05)


def test_no_temperature_of_a_fine_grid_is_more_likely_than_the_fitted_one():
    labels, logits = calibrated_example(60, 3, seed=2)
    fitted = fit_temperature(labels, softmax(2.3 * logits, axis=1))

    def loss(temperature):
        return -log_softmax(2.3 * logits / temperature, axis=1)[np.arange(60), labels].mean()

    assert loss(fitted) <= min(loss(t) for t in np.geomspace(*TEMPERATURES, 2000)) + 1e-9


@given(temperature=st.floats(*TEMPERATURES), n_classes=st.integers(2, 5), seed=st.integers(0, 10**6))
@settings(max_examples=50, deadline=None)
def test_temperature_keeps_predictions_and_divides_logits(temperature, n_classes, seed):
    logits = np.random.default_rng(seed).normal(size=(10, n_classes))
    scaled = apply_temperature(softmax(logits, axis=1), temperature)
    np.testing.assert_allclose(scaled, softmax(logits / temperature, axis=1), atol=1e-9)
    np.testing.assert_array_equal(scaled.argmax(axis=1), logits.argmax(axis=1))


def test_probability_of_exactly_zero_costs_a_finite_amount():
    labels, probabilities = np.array([0, 1]), np.array([[1, 0], [1, 0]], dtype=np.float32)
    assert negative_log_likelihood(labels, probabilities) == pytest.approx(87.3 / 2, abs=0.1)
    assert fit_temperature(labels, probabilities) == TEMPERATURES[1]


@pytest.mark.parametrize("margin", [0.6, 0.999, 1.0])
def test_perfect_validation_sheets_drive_the_temperature_to_its_bound(margin):
    labels = np.array([0, 1, 0, 1])
    probabilities = np.where(np.eye(2)[labels] > 0, margin, 1 - margin)
    both = pd.concat([table("validation", labels, probabilities), table("test", labels, probabilities)])
    record = calibrate(both, bins=10, n_samples=100, seed=0, data_source="mill")
    assert (record["temperature"], record["at_bound"]) == (TEMPERATURES[0], True)


def test_range_of_a_calibrated_classifier_holds_its_error_and_not_an_overconfident_one():
    inside = []
    for seed in range(100):
        labels, logits = calibrated_example(150, 3, seed)
        probabilities = softmax(logits, axis=1)
        low, high = calibrated_error_range(probabilities, 10, 300, seed)
        inside.append(defined(low) <= calibration_error(labels, probabilities, 10) <= defined(high))
    assert np.mean(inside) >= 0.88
    labels, logits = calibrated_example(1000, 3, 0)
    sharp = softmax(3 * logits, axis=1)
    assert calibration_error(labels, sharp, 10) > defined(calibrated_error_range(sharp, 10, 300, 0)[1])


@pytest.mark.parametrize("n_classes", [2, 5])
def test_record_of_an_overconfident_classifier_shows_what_the_temperature_mends(n_classes):
    both = predictions(600, n_classes, sharpness=3)
    record = calibrate(both, bins=15, n_samples=200, seed=0, data_source="mill")
    before, after = record["test"]["before"], record["test"]["after"]
    assert record["temperature"] == pytest.approx(3, rel=0.2)
    assert not record["at_bound"]
    assert (record["data_source"], record["n_validation"], record["n_test"]) == ("mill", 600, 600)
    assert all(after[name] < before[name] for name in ("ece", "nll", "brier"))
    assert after["ece"] <= after["ece_if_calibrated"][1] < before["ece"]
    assert before["ece_interval"][0] <= before["ece"] <= before["ece_interval"][1]
    assert all(sum(b["n"] for b in part["reliability"]) == 600 for part in (before, after))
    json.dumps(record, allow_nan=False)
    assert record == calibrate(both, bins=15, n_samples=200, seed=0, data_source="mill")


def test_interval_covers_the_error_of_an_overconfident_classifier_about_as_often_as_it_says():
    labels, logits = calibrated_example(100_000, 2, seed=0)
    probabilities = softmax(3 * logits, axis=1)
    truth = calibration_error(labels, probabilities, 10)
    covered = []
    for k in range(80):
        part = slice(300 * k, 300 * (k + 1))
        both = pd.concat([table(s, labels[part], probabilities[part]) for s in ("validation", "test")])
        low, high = calibrate(both, bins=10, n_samples=200, seed=k, data_source="mill")["test"]["before"][
            "ece_interval"
        ]
        covered.append(low <= truth <= high)
    assert np.mean(covered) >= 0.87
