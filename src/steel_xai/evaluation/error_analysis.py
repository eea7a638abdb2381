"""What a classifier gets wrong with confidence, and whether it looks at the black edge when it does."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.intervals import FEWEST_VALUES, bootstrap, exact_interval, or_none, percentile_interval
from steel_xai.localisation import FloatMap, near_black_edge


def most_confident_errors(predictions: pd.DataFrame, *, split: str = "test", per_group: int) -> pd.DataFrame:
    """List the errors with the highest confidence, grouped by what is wrong.

    A false positive of class k is a sheet taken for class k that has another label; a false negative of class k is a
    sheet of class k taken for defect-free. A binary task has one group of each. In a task of several classes a sheet of
    one defect class taken for another is a false positive of the latter.

    Args:
        predictions: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``.
        split: That the errors are of.
        per_group: At most this many of each kind and class.

    Returns:
        ``row, image_id, label, predicted, confidence`` (the probability of the predicted output), ``group``
        (``false_positive`` or ``false_negative``), ``class`` (that the group is of). Groups in this order, by class,
        the most confident error first.
    """
    wrong = predictions[(predictions["split"] == split) & (predictions["label"] != predictions["predicted"])]
    positive = wrong["predicted"] > 0
    errors = wrong[["row", "image_id", "label", "predicted"]].assign(
        confidence=wrong.filter(regex=r"^p_\d+$").max(axis=1),
        group=np.where(positive, "false_positive", "false_negative"),
        **{"class": wrong["predicted"].where(positive, wrong["label"])},
    )
    ranked = errors.sort_values(
        ["group", "class", "confidence", "row"], ascending=[False, True, False, True], ignore_index=True
    )
    return ranked.groupby(["group", "class"], sort=False).head(per_group).reset_index(drop=True)


def edge_groups(predictions: pd.DataFrame, of_class: int) -> NDArray[np.str_]:
    """Tell what each sheet is to one class.

    Returns:
        ``[N]``: ``false_positive`` (taken for the class, has another label), ``true_positive``, ``false_negative`` (of
        the class, taken for something else), ``other`` (neither of it nor taken for it).
    """
    is_class, is_predicted = (predictions[column].to_numpy() == of_class for column in ("label", "predicted"))
    return np.where(
        is_predicted,
        np.where(is_class, "true_positive", "false_positive"),
        np.where(is_class, "false_negative", "other"),
    )


def edge_relevance(evidence: FloatMap, sheets: NDArray[np.uint8], *, reach: float) -> NDArray[np.float64]:
    """Compute the share of each map's relevance that lies within ``reach`` columns of the sheet's black edge.

    Both sides of the edge count. The share of a constant map is that of the columns, what no preference would give.

    Args:
        evidence: Maps ``[N, h, w]``, finite and never negative.
        sheets: Greyscale ``[N, h, w]``, in which the black end is found.
        reach: In tensor pixels; 100 raw pixels are 25 where a raw width of 1600 became 400.

    Returns:
        ``[N]``, 0 to 1; nan for a sheet without a black end and for a map without relevance.
    """
    near = near_black_edge(sheets, reach)
    by_column = evidence.sum(axis=1, dtype=np.float64)
    total = by_column.sum(axis=1)
    defined = near.any(axis=1) & (total > 0)
    return np.where(defined, (by_column * near).sum(axis=1) / np.where(total > 0, total, 1), np.nan)


def measure_edge_hypothesis(
    predictions: pd.DataFrame,
    shares: NDArray[np.float64],
    without_preference: NDArray[np.float64],
    *,
    of_class: int,
    n_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Test whether the false positives of a class are those where the model looks at the black edge.

    Compares the share of relevance near the edge of the class's false positives with that of its true positives and of
    the sheets that have nothing to do with it, by two-sided Mann-Whitney tests. Sheets without a black end have no such
    share. Whether black ends themselves are more frequent among the false positives is told by each group's number of
    them.

    Args:
        predictions: ``label`` and ``predicted`` of N sheets.
        shares: `edge_relevance` of the same sheets' maps with respect to the class's output, ``[N]``.
        without_preference: `edge_relevance` of constant maps on the same sheets, ``[N]``.
        of_class: The label that the hypothesis is about.
        n_samples: Resamples of the sheets behind the effect sizes' intervals.
        seed: Of the resamples.

    Returns:
        A JSON-able record. ``class``. ``groups``, see `edge_groups`, each with ``n`` sheets,
        ``n_black_end`` and its share ``black_end`` with the exact 95 % ``black_end_interval``; ``n_compared``, those
        with a black end and any relevance; ``median``, ``lower_quartile`` and ``upper_quartile`` of their shares of
        relevance near the edge; ``median_without_preference``, that of a constant map. ``tests`` against
        ``true_positive`` and ``other``: ``u`` and ``p_value``; ``effect``, the rank-biserial correlation (Cliff's
        delta) in -1..1, above 0 where false positives have the larger shares, with its 95 % bootstrap interval
        ``effect_low, effect_high``; ``note``, why there is no test.
    """
    groups = edge_groups(predictions, of_class)
    names = ("false_positive", "true_positive", "false_negative", "other")
    compared = {name: shares[(groups == name) & np.isfinite(shares)] for name in names}
    return {
        "class": of_class,
        "groups": {name: _describe(shares[groups == name], without_preference[groups == name]) for name in names},
        "tests": {
            name: compare_groups(compared["false_positive"], compared[name], n_samples=n_samples, seed=seed)
            for name in ("true_positive", "other")
        },
    }


def compare_groups(
    one: NDArray[np.floating], other: NDArray[np.floating], *, n_samples: int, seed: int
) -> dict[str, Any]:
    """Compare two groups of values by a two-sided Mann-Whitney test.

    Groups of fewer than 5 values are not compared: two of 5 reach p = 0.008 at best, two of 3 only 0.1.

    Args:
        one: Values of the first group.
        other: Values of the second.
        n_samples: Resamples of both groups behind the interval of the effect.
        seed: Of the resamples.

    Returns:
        ``u`` of the first group, ``p_value``, ``effect``: the rank-biserial correlation ``2 U / (n m) - 1``, 1 where
        all of the first group are the greater ones; its 95 % bootstrap interval ``effect_low, effect_high``; ``note``.
        All but the note None where groups are too small.
    """
    from scipy.stats import mannwhitneyu

    if min(len(one), len(other)) < FEWEST_VALUES:
        note = f"{len(one)} against {len(other)} sheets with a black end are too few to compare"
        return {**dict.fromkeys(("u", "p_value", "effect", "effect_low", "effect_high")), "note": note}
    test = mannwhitneyu(one, other, alternative="two-sided")
    effect = 2 * test.statistic / (len(one) * len(other)) - 1
    low, high = percentile_interval(_resampled_effects(one, other, n_samples, seed))
    tested = {"u": float(test.statistic), "p_value": float(test.pvalue), "effect": float(effect)}
    return {**tested, "effect_low": low, "effect_high": high, "note": None}


def _resampled_effects(
    one: NDArray[np.floating], other: NDArray[np.floating], n_samples: int, seed: int
) -> NDArray[np.float64]:
    """Compute the rank-biserial correlations of resamples of both groups, [n_samples]."""
    of_one, of_other = (
        bootstrap(lambda weights: weights, len(group), n_samples, [seed, k]) for k, group in enumerate((one, other))
    )
    ordered = np.argsort(other, kind="stable")
    below, not_above = (np.searchsorted(other[ordered], one, side=side) for side in ("left", "right"))
    # How many of each resample's other values lie below every position in their order.
    counts = np.pad(np.cumsum(of_other[:, ordered], axis=1), ((0, 0), (1, 0)))
    won_less_lost = counts[:, below] - (len(other) - counts[:, not_above])
    effects: NDArray[np.float64] = (of_one * won_less_lost).sum(axis=1) / (len(one) * len(other))
    return effects


def _describe(shares: NDArray[np.float64], even: NDArray[np.float64]) -> dict[str, Any]:
    """Summarise a group: its ``shares`` of relevance near the edge, and those ``even`` maps would have."""
    n, has_end = len(shares), np.isfinite(even)
    n_black = int(has_end.sum())
    low, high = exact_interval(n_black, n)
    return {
        "n": n,
        "n_black_end": n_black,
        "black_end": n_black / n if n else None,
        "black_end_interval": [or_none(float(low)), or_none(float(high))],
        "n_compared": int(np.isfinite(shares).sum()),
        **dict(zip(("lower_quartile", "median", "upper_quartile"), _quartiles(shares), strict=True)),
        "median_without_preference": list(_quartiles(even))[1],
    }


def _quartiles(values: NDArray[np.float64]) -> Iterator[float | None]:
    defined = values[np.isfinite(values)]
    for share in (0.25, 0.5, 0.75):
        yield float(np.quantile(defined, share)) if len(defined) else None
