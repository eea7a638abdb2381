"""Shifts that ask for no distribution: Hodges and Lehmann's estimates with intervals from order statistics.

An interval's ends are the k-th smallest and k-th largest of the differences (or averages) whose median is the estimate,
where k follows from the normal approximation of the rank test's null distribution, rounded so that the interval is
the wider one (Hollander, Wolfe and Chicken 2014, sections 3.2, 3.3, 4.2 and 4.3).
"""

import math

import numpy as np
from numpy.typing import NDArray

_Z = 1.959964
"""97.5th percentile of the normal distribution, for 95 % intervals."""

Shift = dict[str, float | None]


def shift_between(one: NDArray[np.floating], other: NDArray[np.floating]) -> Shift:
    """Estimate by how much the values of one group exceed another's: the median of all differences.

    Args:
        one: Finite values [n].
        other: Finite values [m].

    Returns:
        ``estimate`` and its 95 % interval ``low, high`` (Moses): all None without values; without an interval where
        the groups are too small for one.
    """
    n, m = len(one), len(other)
    differences = np.subtract.outer(one, other).ravel()
    return _summarise(differences, n * m / 2 - _Z * math.sqrt(n * m * (n + m + 1) / 12))


def shift_of(differences: NDArray[np.floating]) -> Shift:
    """Estimate the centre of paired differences: the median of all averages of two, a value with itself included.

    Args:
        differences: Finite values [n].

    Returns:
        ``estimate`` and its 95 % interval ``low, high`` (Tukey), as `shift_between`.
    """
    n = len(differences)
    averages = np.add.outer(differences, differences)[np.triu_indices(n)] / 2
    return _summarise(averages, n * (n + 1) / 4 - _Z * math.sqrt(n * (n + 1) * (2 * n + 1) / 24))


def _summarise(values: NDArray[np.floating], place: float) -> Shift:
    """Take the median, and the values at ``place`` from both ends, counted from 1."""
    if not len(values):
        return {"estimate": None, "low": None, "high": None}
    k = math.floor(place)
    if k < 1:
        return {"estimate": float(np.median(values)), "low": None, "high": None}
    ordered = np.sort(values)
    return {"estimate": float(np.median(values)), "low": float(ordered[k - 1]), "high": float(ordered[-k])}
