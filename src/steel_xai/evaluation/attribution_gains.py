"""What explanations gain over each control, on the same sheets."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.evaluation.attribution_scores import is_above_zero
from steel_xai.intervals import FEWEST_VALUES, bootstrap, percentile_interval

GAINS = ("dice", "pixel_ap")


def gains_over_controls(
    per_sheet: Mapping[str, pd.DataFrame], controls: Collection[str], *, n_samples: int, seed: int
) -> pd.DataFrame:
    """Compare every method with every control in pairs, on the sheets that both were scored on.

    Args:
        per_sheet: What ``attribution_scores.sheet_scores`` returns, for each method and control.
        controls: Which of them are controls, random networks included.
        n_samples: Resamples of the sheets behind the intervals.
        seed: Of the resamples.

    Returns:
        One row a method and control: ``method, control, n``, then for Dice and for pixel average precision the mean
        difference ``<score>_gain`` with its 95 % bootstrap interval ``_low, _high``, nan for fewer than 5 sheets, and
        ``excludes_0``: True where both intervals lie above 0, False where one of them does not, None where that cannot
        be tested.
    """
    rows = []
    for method in (name for name in per_sheet if name not in controls):
        for control in (name for name in per_sheet if name in controls):
            difference = (per_sheet[method] - per_sheet[control])[list(GAINS)].dropna()
            row: dict[str, Any] = {"method": method, "control": control, "n": len(difference)}
            for score, (low, high) in zip(GAINS, _intervals(difference.to_numpy(), n_samples, seed), strict=True):
                row |= {f"{score}_gain": difference[score].mean(), f"{score}_gain_low": low, f"{score}_gain_high": high}
            row["excludes_0"] = _all([is_above_zero(row[f"{score}_gain_low"]) for score in GAINS])
            rows.append(row)
    columns = [f"{score}_gain{end}" for score in GAINS for end in ("", "_low", "_high")]
    return pd.DataFrame(rows, columns=["method", "control", "n", *columns, "excludes_0"]).astype({"excludes_0": object})


def beats_every_control(gains: pd.DataFrame) -> pd.Series:
    """Tell by method whether its gains over all controls exclude 0, in Dice and in pixel average precision.

    Returns:
        True, False where any gain does not, and None where none fails but one could not be tested.
    """
    by_method = gains.groupby("method", sort=False)["excludes_0"]
    return pd.Series({method: _all(list(tested)) for method, tested in by_method}, dtype=object)


def _all(tested: Sequence[bool | None]) -> bool | None:
    """Tell whether all hold; None where none fails but some are undefined."""
    return False if False in tested else None if None in tested else True


def _intervals(values: np.ndarray, n_samples: int, seed: int) -> list[tuple[float, float]]:
    n = len(values)
    if n < FEWEST_VALUES:
        return [(np.nan, np.nan)] * len(GAINS)
    samples = bootstrap(lambda weights: weights @ values / n, n, n_samples, seed)
    ends = [percentile_interval(column) for column in samples.T]
    return [(np.nan if low is None else low, np.nan if high is None else high) for low, high in ends]
