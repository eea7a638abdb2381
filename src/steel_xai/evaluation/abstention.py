"""Selective prediction: the classifier answers where it is confident enough and says "I don't know" elsewhere.

El-Yaniv and Wiener 2010; Geifman and El-Yaniv, Selective Classification for Deep Neural Networks, NeurIPS 2017. The
confidence of a sheet is the highest of its softmax probabilities ``p_k`` as predicted, not those after the temperature
of ``calibration``: whoever uses the predictions has the former, so thresholds must hold for them. A sheet is answered
where its confidence is at least the threshold.
"""

import math
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.intervals import bootstrap, exact_interval, or_none, percentile_interval
from steel_xai.metrics import labels_and_probabilities

THRESHOLDS = np.r_[
    np.arange(99) / 100, np.arange(9900, 9990, 10) / 1e4, np.arange(9990, 9999) / 1e4, np.arange(99990, 100001) / 1e5
]
"""By 0.01 to 0.99 and from there in nine steps to each further nine, since networks are mostly confident that much."""


def abstention_table(predictions: pd.DataFrame) -> pd.DataFrame:
    """Score the answered sheets of validation and test at every one of ``THRESHOLDS``.

    Args:
        predictions: ``split, label, p_0 .. p_{K-1}``.

    Returns:
        One row a split and threshold: ``split, threshold, coverage`` (share answered), ``n_answered, accuracy,
        balanced_accuracy`` (mean recall over the classes still answered), ``accuracy_low, accuracy_high`` (exact 95 %
        interval). Scores are NaN where nothing is answered.
    """
    rows = []
    for split in ("validation", "test"):
        labels, probabilities = labels_and_probabilities(predictions, split)
        rows += [{"split": split, **_answer(labels, probabilities, threshold)} for threshold in THRESHOLDS]
    return pd.DataFrame(rows)


def choose_threshold(labels: np.ndarray, probabilities: np.ndarray, target: float) -> float | None:
    """Find the lowest threshold, among the sheets' own confidences, whose answered sheets reach a target accuracy.

    Args:
        labels: Classes 0..K-1, [n].
        probabilities: Of each class, [n, K].
        target: Accuracy, 0 to 1.

    Returns:
        The threshold, None if none reaches the target. As a choice among many it flatters the sheets it was made on:
        verify it on others.
    """
    thresholds, accuracy, _ = _accuracy_by_threshold(labels, probabilities)
    reached = np.flatnonzero(accuracy >= target)
    return float(thresholds[reached[-1]]) if len(reached) else None


def risk_coverage_area(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float]:
    """Compute the area under the risk-coverage curve (Geifman, Uziel and El-Yaniv 2019).

    Risk is the share of errors among the answered sheets. It is averaged over the coverages that come from answering
    the 1, 2, ... n most confident sheets; sheets of equal confidence are answered together.

    Returns:
        ``aurc``, 0 to 1, lower is better; ``e_aurc``, the excess over a confidence that ranks all errors last, which
        is 0 at best and independent of how many errors there are to rank.
    """
    wrong = probabilities.argmax(axis=1) != labels
    n, n_wrong = len(wrong), np.count_nonzero(wrong)
    area = float(_weighted_area(wrong, probabilities.max(axis=1), np.ones((1, n)))[0])
    errors = np.arange(1, n_wrong + 1)
    optimum = (errors / (n - n_wrong + errors)).sum() / n
    return {"aurc": area, "e_aurc": float(area - optimum)}


def measure_abstention(predictions: pd.DataFrame, target: float, n_samples: int, seed: int) -> dict[str, Any]:
    """Choose the threshold for a target accuracy on the validation sheets and verify it on the test sheets.

    Args:
        predictions: ``split, label, p_0 .. p_{K-1}``.
        target: Accuracy that answered sheets should reach, 0 to 1.
        n_samples: Resamples behind the interval of the area.
        seed: Of the resamples.

    Returns:
        A JSON-able record: sample sizes; ``target_accuracy``; ``threshold``, None with a ``note`` where none reaches
        the target; for ``validation`` and ``test`` the ``accuracy``, ``balanced_accuracy``, ``coverage`` and
        ``n_answered`` there, for test with ``accuracy_interval`` (exact, since resampling 60 right answers of 60 would
        claim certainty); ``reached_on_test``, None where no test sheet is answered; ``aurc`` with ``aurc_interval``
        (bootstrap) and ``e_aurc`` of the test sheets.
    """
    validation_labels, validation_probabilities = labels_and_probabilities(predictions, "validation")
    labels, probabilities = labels_and_probabilities(predictions, "test")
    threshold = choose_threshold(validation_labels, validation_probabilities, target)
    answer_above = math.inf if threshold is None else threshold
    validation = _answer(validation_labels, validation_probabilities, answer_above)
    test = _answer(labels, probabilities, answer_above)
    wrong, confidence = probabilities.argmax(axis=1) != labels, probabilities.max(axis=1)
    areas = bootstrap(lambda weights: _weighted_area(wrong, confidence, weights), len(labels), n_samples, seed)
    area = risk_coverage_area(labels, probabilities)
    return {
        "seed": seed,
        "n_classes": probabilities.shape[1],
        "n_validation": len(validation_labels),
        "n_test": len(labels),
        "target_accuracy": target,
        "threshold": threshold,
        "note": _note(validation_labels, validation_probabilities, target) if threshold is None else None,
        "validation": _record(validation),
        "test": {
            **_record(test),
            "accuracy_interval": [or_none(test["accuracy_low"]), or_none(test["accuracy_high"])],
        },
        "reached_on_test": bool(test["accuracy"] >= target) if test["n_answered"] else None,
        "aurc": area["aurc"],
        "aurc_interval": percentile_interval(areas),
        "e_aurc": area["e_aurc"],
    }


def _answer(labels: np.ndarray, probabilities: np.ndarray, threshold: float) -> dict[str, Any]:
    """Score the sheets that are answered at a threshold; NaN where none is."""
    answered = probabilities.max(axis=1).astype(float) >= threshold
    correct = answered & (probabilities.argmax(axis=1) == labels)
    n_answered, n_correct = int(answered.sum()), int(correct.sum())
    support = np.bincount(labels[answered])
    present = support > 0
    recalls = np.bincount(labels[correct], minlength=len(support))[present] / support[present]
    low, high = exact_interval(n_correct, n_answered)
    return {
        "threshold": float(threshold),
        "coverage": n_answered / len(labels),
        "n_answered": n_answered,
        "accuracy": n_correct / n_answered if n_answered else math.nan,
        "balanced_accuracy": float(recalls.mean()) if n_answered else math.nan,
        "accuracy_low": float(low),
        "accuracy_high": float(high),
    }


def _record(answer: dict[str, Any]) -> dict[str, Any]:
    return {
        "accuracy": or_none(answer["accuracy"]),
        "balanced_accuracy": or_none(answer["balanced_accuracy"]),
        "coverage": answer["coverage"],
        "n_answered": answer["n_answered"],
    }


def _accuracy_by_threshold(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """List the distinct confidences from high to low, with accuracy and number of the sheets answered at each."""
    confidence = probabilities.max(axis=1)
    correct = probabilities.argmax(axis=1) == labels
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    ends = np.flatnonzero(np.r_[ordered[1:] != ordered[:-1], True])
    n_answered = ends + 1
    return ordered[ends], np.cumsum(correct[order])[ends] / n_answered, n_answered


def _weighted_area(wrong: np.ndarray, confidence: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the area under the risk-coverage curve of many resamples at once: [S] from weights [S, n]."""
    order = np.argsort(-confidence, kind="stable")
    ordered = confidence[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    entering = np.add.reduceat(weights[:, order], starts, axis=1)
    errors = np.add.reduceat(weights[:, order] * wrong[order], starts, axis=1)
    answered = np.cumsum(entering, axis=1)
    risk = np.cumsum(errors, axis=1) / np.maximum(answered, 1)
    area: np.ndarray = (entering * risk).sum(axis=1) / answered[:, -1]
    return area


def _note(labels: np.ndarray, probabilities: np.ndarray, target: float) -> str:
    """Say that no threshold reaches the target, and how near the best one comes."""
    thresholds, accuracy, n_answered = _accuracy_by_threshold(labels, probabilities)
    # Of equal accuracies the last answers most.
    best = len(accuracy) - 1 - int(np.argmax(accuracy[::-1]))
    return (
        f"No threshold reaches an accuracy of {target:.1%} on the {len(labels)} validation sheets: the best, "
        f"{thresholds[best]:.4f}, reaches {accuracy[best]:.1%} with {n_answered[best]} answered."
    )
