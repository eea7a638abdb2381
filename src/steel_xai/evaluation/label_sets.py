"""Predicted sets of classes and their scores, for sheets that may have several classes or none.

With the true classes T and the predicted ones P of a sheet and K classes in all (Godbole and Sarawagi 2004; Tsoumakas
and Katakis 2007)::

    accuracy          mean of |T and P| / |T or P|, 1 where both are empty
    hamming_loss      mean of (|T or P| - |T and P|) / K
    exact_match_ratio share of sheets with T = P

The first is what the field calls the accuracy of a multi-label classifier; one less the Hamming loss would be high for
one that finds nothing, because most sheets lack most classes. Undefined scores are None, which JSON can say.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.evaluation.thresholds import choose_thresholds
from steel_xai.intervals import bootstrap, or_none, percentile_interval
from steel_xai.metrics import CLASS_SCORES, weighted_auc
from steel_xai.objectives import label_bits

SET_SCORES = (
    "accuracy",
    "balanced_accuracy",
    "f1",
    "auc",
    "hamming_loss",
    "exact_match_ratio",
    "macro_f1",
    "micro_f1",
)


def predict_and_choose(
    split: pd.DataFrame, probabilities: np.ndarray, outputs: Sequence[str]
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Choose thresholds on the validation sheets and predict all held-out sheets by them.

    Args:
        split: ``row, image_id, label, split``; a label is a bit field.
        probabilities: Of the validation sheets, then of the test sheets, in the split's order, [n, K].
        outputs: Names of the K classes.

    Returns:
        The tables of `predict_sets` and ``thresholds.choose_thresholds``.
    """
    validation = split.loc[split["split"] == "validation", "label"].to_numpy()
    truth = label_bits(validation, len(outputs))
    thresholds = choose_thresholds(truth, probabilities[: len(truth)], outputs)
    return predict_sets(split, probabilities, thresholds["threshold"].to_numpy()), thresholds


def predict_sets(split: pd.DataFrame, probabilities: np.ndarray, thresholds: np.ndarray) -> pd.DataFrame:
    """Put together what is known of the validation and test sheets: true classes, probabilities, predicted classes.

    Args:
        split: ``row, image_id, label, split``; a label is a bit field.
        probabilities: Of the validation sheets, then of the test sheets, in the split's order, [n, K].
        thresholds: Probability from which on a class is predicted, [K].

    Returns:
        One row a sheet: ``row, image_id, split, label_1 .. label_K, p_1 .. p_K, predicted_1 .. predicted_K``; labels
        and predictions are 0 or 1.
    """
    held_out = pd.concat([split[split["split"] == name] for name in ("validation", "test")], ignore_index=True)
    columns = {
        "label": label_bits(held_out["label"].to_numpy(), len(thresholds)).astype(int),
        "p": probabilities,
        "predicted": (probabilities >= thresholds).astype(int),
    }
    parts = [pd.DataFrame(values, columns=_names(name, len(thresholds))) for name, values in columns.items()]
    return pd.concat([held_out[["row", "image_id", "split"]], *parts], axis=1)


def truth_and_predictions(predictions: pd.DataFrame, split: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Take true classes and predicted ones, bool [n, K], and probabilities [n, K] of one split from `predict_sets`."""
    part = predictions[predictions["split"] == split]
    truth, predicted, probabilities = (
        part.filter(regex=rf"^{name}_\d+$").to_numpy() for name in ("label", "predicted", "p")
    )
    return truth == 1, predicted == 1, probabilities


def set_scores(truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray) -> dict[str, float | None]:
    """Score predicted sets of classes.

    Args:
        truth: Whether a sheet has a class, bool [n, K].
        predicted: Whether it is said to have it, bool [n, K].
        probabilities: Of each class, [n, K].

    Returns:
        Those of the module's description; ``balanced_accuracy``, the mean over the classes of (recall + specificity) /
        2; ``f1`` and ``macro_f1``, the mean of the classes' F1, weighted by their sheets and not; ``micro_f1``, of all
        decisions together; ``auc``, the mean of the classes' AUC. A class for which a score is undefined does not
        count for it.
    """
    scores = _weighted_scores(truth, predicted, probabilities, np.ones((1, len(truth))))
    return {name: or_none(scores[name].item()) for name in SET_SCORES}


def set_intervals(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int
) -> dict[str, list[float | None]]:
    """Estimate the 95 % interval of every score of `set_scores` by resampling the sheets with replacement.

    Returns:
        ``{score: [low, high]}``; both None where no resample defines the score.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = _weighted_scores(truth, predicted, probabilities, weights)
        return np.stack([scores[name] for name in SET_SCORES], axis=1)

    values = bootstrap(statistic, len(truth), n_samples, seed)
    return {name: percentile_interval(values[:, i]) for i, name in enumerate(SET_SCORES)}


def scores_of_classes(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int
) -> list[dict[str, Any]]:
    """Score each class by itself, with 95 % intervals on the resamples of `set_intervals`.

    Returns:
        For each of the K classes ``precision``, None if it is never predicted; ``recall``, None if it has no sheet;
        ``f1``, None if neither; ``auc``, None if it has no sheet or all of them; ``n``, its number of sheets;
        ``n_predicted``; and ``intervals``, ``{score: [low, high]}``.
    """

    def statistic(weights: np.ndarray) -> np.ndarray:
        scores = _weighted_class_scores(truth, predicted, probabilities, weights)
        return np.stack([scores[name] for name in CLASS_SCORES], axis=2)

    scores = statistic(np.ones((1, len(truth))))[0]
    values = bootstrap(statistic, len(truth), n_samples, seed)
    return [
        {
            **{name: or_none(scores[k, i]) for i, name in enumerate(CLASS_SCORES)},
            "n": int(truth[:, k].sum()),
            "n_predicted": int(predicted[:, k].sum()),
            "intervals": {name: percentile_interval(values[:, k, i]) for i, name in enumerate(CLASS_SCORES)},
        }
        for k in range(truth.shape[1])
    ]


def _weighted_scores(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute the scores [S] of many resamples, each given by how often it holds every sheet: weights [S, n]."""
    both, either = truth & predicted, truth | predicted
    # 0 of 0 classes found is all of them.
    overlap = np.where(either.any(axis=1), both.sum(axis=1) / np.maximum(either.sum(axis=1), 1), 1)
    support, said, hits = (weights @ part for part in (truth, predicted, both))
    n = weights.sum(axis=1)
    by_class = _weighted_class_scores(truth, predicted, probabilities, weights)
    with np.errstate(invalid="ignore"):
        specificity = 1 - (said - hits) / (n[:, None] - support)
        weighted_f1 = np.where(support > 0, by_class["f1"] * support, 0).sum(axis=1) / support.sum(axis=1)
        micro_f1 = 2 * hits.sum(axis=1) / (support + said).sum(axis=1)
    return {
        "accuracy": weights @ overlap / n,
        "balanced_accuracy": _mean_of_defined((by_class["recall"] + specificity) / 2),
        "f1": weighted_f1,
        "auc": _mean_of_defined(by_class["auc"]),
        "hamming_loss": weights @ (truth != predicted).mean(axis=1) / n,
        "exact_match_ratio": weights @ (truth == predicted).all(axis=1) / n,
        "macro_f1": _mean_of_defined(by_class["f1"]),
        "micro_f1": micro_f1,
    }


def _weighted_class_scores(
    truth: np.ndarray, predicted: np.ndarray, probabilities: np.ndarray, weights: np.ndarray
) -> dict[str, np.ndarray]:
    """Compute the scores of each class [S, K] of many resamples at once: weights [S, n]."""
    support, said, hits = (weights @ part for part in (truth, predicted, truth & predicted))
    aucs = [weighted_auc(truth[:, k], probabilities[:, k], weights) for k in range(truth.shape[1])]
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / said,
            "recall": hits / support,
            "f1": 2 * hits / (support + said),
            "auc": np.stack(aucs, axis=1),
        }


def _mean_of_defined(values: np.ndarray) -> np.ndarray:
    """Average over the second axis without the undefined values; NaN where all are undefined."""
    defined = np.isfinite(values)
    with np.errstate(invalid="ignore"):
        return np.asarray(np.where(defined, values, 0).sum(axis=1) / defined.sum(axis=1))


def _names(name: str, n_classes: int) -> list[str]:
    return [f"{name}_{k}" for k in range(1, n_classes + 1)]
