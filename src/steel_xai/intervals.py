"""95 % intervals: of any statistic by resampling the sheets, of a share of sheets exactly."""

import math
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import ArrayLike

FEWEST_VALUES = 5
"""No interval is given, and nothing concluded, from fewer: that of 3 values would be little more than their range."""

_RESAMPLES_AT_ONCE = 100


def bootstrap(
    statistic: Callable[[np.ndarray], np.ndarray], n: int, n_samples: int, seed: int | Sequence[int]
) -> np.ndarray:
    """Compute a statistic of resamples of n sheets, drawn with replacement (Efron 1979), many resamples at a time.

    Args:
        statistic: Maps resamples, each given by how often it holds every sheet, float [S, n], to values [S, ...].
        n: Number of sheets.
        n_samples: Number of resamples.
        seed: Of the draws; equal seeds draw equal resamples whatever the statistic.

    Returns:
        The values of all resamples, [n_samples, ...].
    """
    rng = np.random.default_rng(seed)
    parts = []
    for start in range(0, n_samples, _RESAMPLES_AT_ONCE):
        size = min(_RESAMPLES_AT_ONCE, n_samples - start)
        parts.append(statistic(rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float)))
    return np.concatenate(parts)


def percentile_interval(values: np.ndarray) -> list[float | None]:
    """Return the 2.5th and 97.5th percentile of the defined values; both None where none is defined."""
    defined = values[np.isfinite(values)]
    low, high = np.percentile(defined, [2.5, 97.5]) if len(defined) else (math.nan, math.nan)
    return [or_none(low), or_none(high)]


def mean_with_interval(values: np.ndarray, n_samples: int, seed: int, *, fewest: int = 1) -> dict[str, float]:
    """Average the defined values of images [n], with a 95 % interval that resamples the images.

    Returns:
        ``mean``, NaN where no value is defined; ``low, high``, NaN where fewer than ``fewest`` are; and ``n``, the
        number of defined values.
    """
    defined = np.isfinite(values)
    n = int(defined.sum())
    found = {"mean": float(values[defined].mean()) if n else math.nan, "low": math.nan, "high": math.nan, "n": n}
    if n < max(fewest, 1):
        return found
    known = np.where(defined, values, 0)

    def mean(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            return np.asarray((weights @ known) / (weights @ defined))

    resampled = bootstrap(mean, len(values), n_samples, seed)
    low, high = np.nanpercentile(resampled, [2.5, 97.5])  # a resample may hold undefined values alone
    return found | {"low": float(low), "high": float(high)}


def exact_interval(hits: ArrayLike, n: ArrayLike) -> tuple[np.ndarray, np.ndarray]:
    """Compute the exact interval of shares ``hits / n`` (Clopper and Pearson 1934, from quantiles of beta).

    Unlike a resampled one it does not shrink to a point where all sheets or none are hits.

    Returns:
        Lower and upper ends; both NaN where n is 0.
    """
    from scipy.stats import beta

    hits, n = np.asarray(hits), np.asarray(n)
    low = np.where(hits > 0, beta.ppf(0.025, hits, n - hits + 1), 0)
    high = np.where(hits < n, beta.ppf(0.975, hits + 1, n - hits), 1)
    return np.where(n > 0, low, np.nan), np.where(n > 0, high, np.nan)


def or_none(value: float) -> float | None:
    """Return the value as JSON can say it: None where it is undefined."""
    return float(value) if math.isfinite(value) else None
