"""Scores of a classifier and their bootstrap intervals. All follow from labels [n] and probabilities [n, K].

Undefined scores (an AUC where one class is missing, say) are None, which JSON can say.
"""

import math
from typing import Any

import numpy as np

SCORES = ("accuracy", "balanced_accuracy", "f1", "auc")

_RESAMPLES_AT_ONCE = 100


def score(labels: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    """Score predictions, the most probable output being the predicted one.

    Args:
        labels: Classes 0..K-1, [n].
        probabilities: Of each class, [n, K].

    Returns:
        ``accuracy``; ``balanced_accuracy``, the mean recall of the classes that occur; ``f1``, that of class 1 if
        K = 2, else the mean over classes weighted by their sheets; ``auc``, that of class 1 if K = 2, else the mean
        one-vs-rest AUC of the classes that occur.
    """
    from sklearn.metrics import accuracy_score, f1_score, recall_score, roc_auc_score

    n_classes = probabilities.shape[1]
    predicted = probabilities.argmax(axis=1)
    present = _testable_classes(labels, n_classes)
    f1_kind: dict[str, Any] = {"pos_label": 1} if n_classes == 2 else {"average": "weighted"}
    aucs = [roc_auc_score(labels == k, probabilities[:, k]) for k in present]
    return {
        "accuracy": float(accuracy_score(labels, predicted)),
        "balanced_accuracy": float(recall_score(labels, predicted, labels=np.unique(labels), average="macro")),
        "f1": _or_none(f1_score(labels, predicted, zero_division=np.nan, **f1_kind)),
        "auc": float(np.mean(aucs)) if aucs else None,
    }


def bootstrap_intervals(
    labels: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int
) -> dict[str, list[float | None]]:
    """Estimate the 95 % interval of every score by resampling the sheets with replacement (Efron 1979, percentiles).

    A resample that lacks a class scores as ``score`` does: over the classes it has. One in which a score is
    undefined (all of one class for the AUC, neither labelled nor predicted positives for a binary F1) does not
    count for that score.

    Returns:
        ``{score: [low, high]}``; both None where no resample defines the score.
    """
    rng = np.random.default_rng(seed)
    n = len(labels)
    parts = []
    for start in range(0, n_samples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, n_samples - start)
        weights = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float)
        parts.append(_weighted_scores(labels, probabilities, weights))
    intervals = {}
    for name in SCORES:
        values = np.concatenate([part[name] for part in parts])
        values = values[np.isfinite(values)]
        low, high = np.percentile(values, [2.5, 97.5]) if len(values) else (math.nan, math.nan)
        intervals[name] = [_or_none(low), _or_none(high)]
    return intervals


def _weighted_scores(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores of many resamples at once, each given by how often it holds every sheet: weights [S, n]."""
    n_classes = probabilities.shape[1]
    is_class = np.eye(n_classes)[labels]
    is_predicted = np.eye(n_classes)[probabilities.argmax(axis=1)]
    support = weights @ is_class
    predicted = weights @ is_predicted
    hits = weights @ (is_class * is_predicted)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / support
        f1 = 2 * hits / (support + predicted)
    f1_score = f1[:, 1] if n_classes == 2 else np.where(support > 0, f1 * support, 0).sum(axis=1) / support.sum(axis=1)
    aucs = [_weighted_auc(labels == k, probabilities[:, k], weights) for k in _testable_classes(labels, n_classes)]
    return {
        "accuracy": hits.sum(axis=1) / weights.sum(axis=1),
        "balanced_accuracy": _mean_of_defined(recall),
        "f1": f1_score,
        "auc": _mean_of_defined(np.stack(aucs, axis=1)) if aucs else np.full(len(weights), np.nan),
    }


def _weighted_auc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute the AUC as the share of won (positive, negative) pairs, ties counting half: [S] from weights [S, n]."""
    order = np.argsort(scores, kind="stable")
    ordered = scores[order]
    starts = np.flatnonzero(np.r_[True, ordered[1:] != ordered[:-1]])
    positives = np.add.reduceat(weights[:, order] * is_positive[order], starts, axis=1)
    negatives = np.add.reduceat(weights[:, order] * ~is_positive[order], starts, axis=1)
    negatives_below = np.cumsum(negatives, axis=1) - negatives
    won = (positives * (negatives_below + negatives / 2)).sum(axis=1)
    with np.errstate(invalid="ignore"):
        share: np.ndarray = won / (positives.sum(axis=1) * negatives.sum(axis=1))
    return share


def _testable_classes(labels: np.ndarray, n_classes: int) -> list[int]:
    """List the classes whose AUC is defined and counts: with two classes the second alone stands for both."""
    classes = [1] if n_classes == 2 else list(range(n_classes))
    return [k for k in classes if 0 < np.count_nonzero(labels == k) < len(labels)]


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Average over the second axis without the undefined values; NaN where all are undefined."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        mean: np.ndarray = np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1)
    return mean


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
