"""Paired shifts: how far a change of the sheets moves what a model says about them."""

import math
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from steel_xai.intervals import bootstrap, exact_interval, or_none, percentile_interval

Values = NDArray[np.float64]
Direction = Literal["greater", "less"]


def median_with_interval(values: Values, n_samples: int, seed: int) -> list[float | None]:
    """Return the median of values [n] and its 95 % interval from resamples of them; None three times if n is 0."""
    if not len(values):
        return [None, None, None]
    n = len(values)
    order = np.argsort(values, kind="stable")
    ordered = values[order]

    def median(weights: NDArray[np.float64]) -> NDArray[np.float64]:
        passed = np.cumsum(weights[:, order], axis=1)
        lower, upper = (ordered[(passed > rank).argmax(axis=1)] for rank in ((n - 1) // 2, n // 2))
        return np.asarray((lower + upper) / 2)

    return [float(np.median(values)), *percentile_interval(bootstrap(median, n, n_samples, seed))]


def signed_rank_p_value(differences: Values, direction: Direction) -> float:
    """One-sided p-value of Wilcoxon's signed-rank test (1945) that differences [n] are shifted from 0.

    Differences of 0 do not count; 1 if all are.
    """
    from scipy.stats import wilcoxon

    if not differences.any():
        return 1.0
    return float(wilcoxon(differences, alternative=direction).pvalue)


def shift(
    before: Values, after: Values, *, direction: Direction, min_sheets: int, n_samples: int, seed: int
) -> dict[str, Any]:
    """Summarise paired changes after - before of n sheets.

    Returns:
        ``n, median, low, high, p_value``: the median change with its 95 % bootstrap interval and the one-sided p-value
        of `signed_rank_p_value`. All but n are None for fewer than ``min_sheets`` sheets.
    """
    differences = after - before
    n = len(differences)
    if n < max(min_sheets, 1):
        return {"n": n, "median": None, "low": None, "high": None, "p_value": None}
    median, low, high = median_with_interval(differences, n_samples, seed)
    p_value = signed_rank_p_value(differences, direction)
    return {"n": n, "median": median, "low": low, "high": high, "p_value": p_value}


def flips(before: NDArray[np.integer], after: NDArray[np.integer]) -> dict[str, Any]:
    """Count sheets that go from a predicted defect to a predicted "no defect" (0), of predictions [n] each.

    Returns:
        ``n_predicted_defect`` before, ``n_flipped`` of these, ``flip_rate`` and its exact 95 % interval ``flip_low,
        flip_high``; None where no defect was predicted.
    """
    was_defect = before > 0
    total, flipped = int(was_defect.sum()), int((was_defect & (after == 0)).sum())
    low, high = exact_interval(flipped, total)
    return {
        "n_predicted_defect": total,
        "n_flipped": flipped,
        "flip_rate": or_none(flipped / total if total else math.nan),
        "flip_low": or_none(float(low)),
        "flip_high": or_none(float(high)),
    }
