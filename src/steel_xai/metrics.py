"""Scores of a classifier and their bootstrap intervals. All follow from labels [n] and probabilities [n, K].

Undefined scores (an AUC where one class is missing, say) are None, which JSON can say.
"""

from typing import Any

import numpy as np
import pandas as pd

from steel_xai.intervals import bootstrap, or_none, percentile_interval

SCORES = ("accuracy", "balanced_accuracy", "f1", "auc")
CLASS_SCORES = ("precision", "recall", "f1", "auc")


def labels_and_probabilities(predictions: pd.DataFrame, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Take labels [n] and probabilities [n, K] of one split from a table of predictions."""
    part = predictions[predictions["split"] == split]
    return part["label"].to_numpy(), part.filter(regex=r"^p_\d+$").to_numpy()


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
        "f1": or_none(f1_score(labels, predicted, zero_division=np.nan, **f1_kind)),
        "auc": float(np.mean(aucs)) if aucs else None,
    }


def bootstrap_intervals(
    labels: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int
) -> dict[str, list[float | None]]:
    """Estimate the 95 % interval of every score by resampling the sheets with replacement.

    A resample that lacks a class scores as ``score`` does: over the classes it has. One in which a score is
    undefined (all of one class for the AUC, neither labelled nor predicted positives for a binary F1) does not
    count for that score.

    Returns:
        ``{score: [low, high]}``; both None where no resample defines the score.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = _weighted_scores(labels, probabilities, weights)
        return np.stack([scores[name] for name in SCORES], axis=1)

    values = bootstrap(statistic, len(labels), n_samples, seed)
    return {name: percentile_interval(values[:, i]) for i, name in enumerate(SCORES)}


def class_scores(labels: np.ndarray, probabilities: np.ndarray) -> list[dict[str, Any]]:
    """Score each class against the rest, the most probable output being the predicted one.

    Args:
        labels: Classes 0..K-1, [n].
        probabilities: Of each class, [n, K].

    Returns:
        For each of the K classes: ``precision``, None if it is never predicted; ``recall``, None if it has no sheet;
        ``f1``, None if neither; ``auc``, None if it has no sheet or all of them; ``n``, its number of sheets.
    """
    values = _weighted_class_scores(labels, probabilities, np.ones((1, len(labels))))
    support = np.bincount(labels, minlength=probabilities.shape[1])
    return [
        {**{name: or_none(values[name][0, k]) for name in CLASS_SCORES}, "n": int(n)} for k, n in enumerate(support)
    ]


def class_intervals(
    labels: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int
) -> list[dict[str, list[float | None]]]:
    """Estimate the 95 % interval of every score of ``class_scores``, on the resamples of ``bootstrap_intervals``.

    A resample in which a score is undefined does not count for that score.

    Returns:
        For each of the K classes ``{score: [low, high]}``; both None where no resample defines the score.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = _weighted_class_scores(labels, probabilities, weights)
        return np.stack([scores[name] for name in CLASS_SCORES], axis=2)

    values = bootstrap(statistic, len(labels), n_samples, seed)
    return [
        {name: percentile_interval(values[:, k, i]) for i, name in enumerate(CLASS_SCORES)}
        for k in range(probabilities.shape[1])
    ]


def _weighted_scores(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores of many resamples at once, each given by how often it holds every sheet: weights [S, n]."""
    n_classes = probabilities.shape[1]
    support, predicted, hits = _weighted_counts(labels, probabilities, weights)
    with np.errstate(invalid="ignore", divide="ignore"):
        recall = hits / support
        f1 = 2 * hits / (support + predicted)
    f1_score = f1[:, 1] if n_classes == 2 else np.where(support > 0, f1 * support, 0).sum(axis=1) / support.sum(axis=1)
    aucs = [weighted_auc(labels == k, probabilities[:, k], weights) for k in _testable_classes(labels, n_classes)]
    return {
        "accuracy": hits.sum(axis=1) / weights.sum(axis=1),
        "balanced_accuracy": _mean_of_defined(recall),
        "f1": f1_score,
        "auc": _mean_of_defined(np.stack(aucs, axis=1)) if aucs else np.full(len(weights), np.nan),
    }


def _weighted_class_scores(labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray) -> dict[str, np.ndarray]:
    """Compute the scores of each class [S, K] of many resamples at once: weights [S, n]."""
    support, predicted, hits = _weighted_counts(labels, probabilities, weights)
    aucs = [weighted_auc(labels == k, probabilities[:, k], weights) for k in range(probabilities.shape[1])]
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / predicted,
            "recall": hits / support,
            "f1": 2 * hits / (support + predicted),
            "auc": np.stack(aucs, axis=1),
        }


def _weighted_counts(
    labels: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Count sheets of each class, predictions of it, and both together, in each resample: three times [S, K]."""
    identity = np.eye(probabilities.shape[1])
    is_class, is_predicted = identity[labels], identity[probabilities.argmax(axis=1)]
    return weights @ is_class, weights @ is_predicted, weights @ (is_class * is_predicted)


def weighted_auc(is_positive: np.ndarray, scores: np.ndarray, weights: np.ndarray) -> np.ndarray:
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
