"""Whether a classifier is surer of an output, as a rule "no defect", on sheets with an attribute than without."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from steel_xai.intervals import bootstrap, percentile_interval
from steel_xai.stain_audit.hodges_lehmann import shift_between

HIGHER, LOWER, EQUAL = "higher", "lower", "equal"
"""Directions of P of the sheets with the attribute: only the first may be a shortcut."""


def compare_confidence(
    attributed: NDArray[np.floating],
    plain: NDArray[np.floating],
    *,
    min_group: int,
    n_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Compare an output's probability P in two groups of sheets by a one-sided Mann-Whitney test (1947).

    The alternative is that sheets with the attribute have the higher P, as a shortcut would have it: a model
    that takes stains for bright defects differs between the groups as well, in the other direction.

    Ranks are those of the log-odds, which are P's own but for ties where P is 1 in single precision.

    Args:
        attributed: Log-odds of the output of the sheets with the attribute, [n].
        plain: Of those without, [m].
        min_group: With fewer sheets in either group nothing is tested.
        n_samples: Resamples of both groups for the effect's interval.
        seed: Of the resampling.

    Returns:
        A JSON-able record. ``testable`` and ``note``, why not. ``group_sizes``, ``medians`` of P and
        ``medians_log_odds``, each ``attributed`` and ``plain``. ``U`` of the sheets with the attribute; ``p_value`` and
        ``p_value_reversed`` of the opposite alternative; ``effect_size``, the rank-biserial correlation
        2 U / (n m) - 1, 1 where all sheets with the attribute have the higher P, with its 95 % bootstrap interval
        ``effect_low, effect_high``; ``direction``: ``higher``, ``lower`` or ``equal``. ``shift`` of P and
        ``shift_log_odds``: Hodges-Lehmann ``estimate, low, high`` with Moses' 95 % interval. All of the tests are None
        where nothing is tested.
    """
    from scipy.special import expit
    from scipy.stats import mannwhitneyu

    n, m = len(attributed), len(plain)
    groups = {"attributed": np.asarray(attributed, float), "plain": np.asarray(plain, float)}
    medians = {name: float(np.median(values)) if len(values) else None for name, values in groups.items()}
    testable = min(n, m) >= min_group
    record: dict[str, Any] = {
        "testable": testable,
        "note": None if testable else f"{n} sheets with and {m} without are too few: {min_group} of each are needed",
        "group_sizes": {"attributed": n, "plain": m},
        "medians": {name: None if median is None else float(expit(median)) for name, median in medians.items()},
        "medians_log_odds": medians,
        **dict.fromkeys(("U", "p_value", "p_value_reversed", "effect_size", "effect_low", "effect_high", "direction")),
        "shift": None,
        "shift_log_odds": None,
    }
    if not testable:
        return record
    test = mannwhitneyu(*groups.values(), alternative="greater")
    reversed_test = mannwhitneyu(*groups.values(), alternative="less")
    effect = float(2 * test.statistic / (n * m) - 1)
    low, high = _effect_interval(groups["attributed"], groups["plain"], n_samples, seed)
    direction = EQUAL if effect == 0 else HIGHER if effect > 0 else LOWER
    return record | {
        "U": float(test.statistic),
        "p_value": float(test.pvalue),
        "p_value_reversed": float(reversed_test.pvalue),
        "effect_size": effect,
        "effect_low": low,
        "effect_high": high,
        "direction": direction,
        "shift": shift_between(expit(groups["attributed"]), expit(groups["plain"])),
        "shift_log_odds": shift_between(groups["attributed"], groups["plain"]),
    }


def _effect_interval(
    one: NDArray[np.float64], other: NDArray[np.float64], n_samples: int, seed: int
) -> list[float | None]:
    """Resample both groups, each from its own sheets."""
    wins = np.sign(np.subtract.outer(one, other))
    seeds = np.random.SeedSequence(seed).generate_state(2)
    drawn = [
        bootstrap(lambda weights: weights, len(values), n_samples, int(of_group))
        for values, of_group in zip((one, other), seeds, strict=True)
    ]
    return percentile_interval(((drawn[0] @ wins) * drawn[1]).sum(axis=1) / wins.size)
