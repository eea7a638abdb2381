"""From which probability on a class counts as present: a threshold for each class, chosen on the validation sheets."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

MIN_POSITIVES = 5
"""Validation sheets with a class below which its threshold stays at 0.5: F1 of fewer says next to nothing."""


def choose_thresholds(truth: np.ndarray, probabilities: np.ndarray, outputs: Sequence[str]) -> pd.DataFrame:
    """Choose for each class by itself the threshold of the largest F1, as `choose_threshold` does.

    Args:
        truth: Whether a validation sheet has a class, bool [n, K].
        probabilities: Of each class, [n, K].
        outputs: Names of the K classes.

    Returns:
        One row a class: ``class`` (1..K), ``output`` (its name), ``threshold``, ``f1`` on these sheets (NaN where no
        sheet has the class or is taken to have it), ``n_positive`` and ``chosen``, False where fewer than
        ``MIN_POSITIVES`` sheets have the class, so that its threshold is 0.5.
    """
    rows = []
    for k, name in enumerate(outputs):
        n_positive = int(truth[:, k].sum())
        chosen = n_positive >= MIN_POSITIVES
        threshold = choose_threshold(truth[:, k], probabilities[:, k]) if chosen else 0.5
        f1 = scores_at(truth[:, k], probabilities[:, k], np.array([threshold]))["f1"].item()
        about = {"class": k + 1, "output": name, "threshold": threshold, "f1": f1}
        rows.append({**about, "n_positive": n_positive, "chosen": chosen})
    return pd.DataFrame(rows)


def choose_threshold(is_class: np.ndarray, probabilities: np.ndarray) -> float:
    """Find the threshold with the largest F1, of equally good ones the one nearest to 0.5.

    Candidates are 0.5 and the middles between neighbouring probabilities: F1 is the same anywhere between these, and
    the middle leaves room on both sides.

    Args:
        is_class: Whether a sheet has the class, bool [n].
        probabilities: Of the class, [n].
    """
    found = np.unique(np.r_[0.0, probabilities.astype(np.float64), 1.0])
    candidates = np.r_[0.5, (found[1:] + found[:-1]) / 2]
    f1 = np.nan_to_num(scores_at(is_class, probabilities, candidates)["f1"])
    best = candidates[f1 == f1.max()]
    return float(best[np.abs(best - 0.5).argmin()])


def scores_at(is_class: np.ndarray, probabilities: np.ndarray, thresholds: np.ndarray) -> dict[str, np.ndarray]:
    """Compute precision, recall and F1 of a class at many thresholds [T]; a sheet at a threshold counts as having it.

    Returns:
        ``precision`` (NaN where nothing reaches the threshold), ``recall`` (NaN where no sheet has the class) and
        ``f1`` (NaN where neither), each [T].
    """
    ordered, of_class = (np.sort(part.astype(np.float64)) for part in (probabilities, probabilities[is_class]))
    predicted = len(ordered) - np.searchsorted(ordered, thresholds)
    hits = len(of_class) - np.searchsorted(of_class, thresholds)
    with np.errstate(invalid="ignore"):
        return {
            "precision": hits / predicted,
            "recall": hits / np.full(len(thresholds), len(of_class)),
            "f1": 2 * hits / (predicted + len(of_class)),
        }
