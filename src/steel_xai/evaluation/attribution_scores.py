"""Attribution scored as segmentation: how well each method's thresholded maps match the defects' masks.

Methods and controls are treated alike: the same blur, a threshold from the same place, the same sheets in each
comparison.
"""

import math
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai import localisation
from steel_xai.errors import InputError
from steel_xai.intervals import FEWEST_VALUES, bootstrap, percentile_interval
from steel_xai.localisation import FloatMap

CANDIDATE_THRESHOLDS = tuple(round(0.1 * step, 1) for step in range(51))
"""Values of k to choose from: 0 to 5."""

RANDOM_NETWORK = "_random_network"
"""What the name of a method's control by a network of random weights ends in."""

MASK_SCORES = ("recall", "precision", "iou", "dice")
MAP_SCORES = ("pointing_game", "relevance_mass", "pixel_ap")
COLUMNS = (
    "method",
    "kind",
    "recall",
    "precision",
    "iou",
    "dice",
    "dice_low",
    "dice_high",
    "gain",
    "gain_low",
    "gain_high",
    "pointing_game",
    "pixel_ap",
    "ms_per_image",
    "n",
    "pixel_ap_gain",
    "pixel_ap_gain_low",
    "pixel_ap_gain_high",
    "relevance_mass",
    "k",
    "k_chosen_on",
    "random_network_gain",
    "random_network_gain_low",
    "random_network_gain_high",
    "beats_random_network",
)


def dice_by_threshold(
    maps: FloatMap, truth: NDArray[np.generic], *, sigma: float, ks: Sequence[float] = CANDIDATE_THRESHOLDS
) -> NDArray[np.float64]:
    """Compute the Dice coefficient of each map ``[N, h, w]`` blurred and thresholded at mean + k sd: ``[N, K]``.

    Args:
        maps: Evidence, finite and never negative.
        truth: Masks ``[N, h, w]``; an empty one scores nan.
        sigma: Of the blur, in tensor pixels.
        ks: K thresholds, in ascending order.
    """
    _check_evidence(maps)
    blurred = localisation.smooth(maps, sigma)
    scores = np.full((len(maps), len(ks)), np.nan)
    for i, (values, mask) in enumerate(zip(blurred, np.asarray(truth) != 0, strict=True)):
        n_true = int(mask.sum())
        if not n_true:
            continue
        # How many of the thresholds each pixel passes: all masks at once, as `threshold_mask` draws them one by one.
        passed = np.searchsorted(localisation.thresholds(values[None], ks)[0], values)
        passed[values <= values.min()] = 0
        found, both = (_count_at_least(part, len(ks)) for part in (passed.ravel(), passed[mask]))
        scores[i] = 2 * both / (found + n_true)
    return scores


def _count_at_least(passed: NDArray[np.integer], n: int) -> NDArray[np.integer]:
    """Count the values of at least 1, 2, .., n: ``[n]``."""
    return np.bincount(passed, minlength=n + 1)[::-1].cumsum()[::-1][1:]


def choose_threshold(
    maps: FloatMap, truth: NDArray[np.generic], *, sigma: float, ks: Sequence[float] = CANDIDATE_THRESHOLDS
) -> float:
    """Choose the k of the highest mean Dice, the lowest of equal ones; to be asked of validation sheets.

    Args:
        maps: Evidence ``[N, h, w]``, finite and never negative.
        truth: Masks ``[N, h, w]``; sheets without a defect have no say.
        sigma: Of the blur, in tensor pixels, the same that the scores are taken with.
        ks: Thresholds to choose from, in ascending order.

    Raises:
        InputError: No sheet has a mask.
    """
    defective = (np.asarray(truth) != 0).any(axis=(1, 2))
    if not defective.any():
        raise InputError(
            f"none of the {len(truth)} validation sheets given has a mask, so that no threshold can be chosen on them; "
            "give more sheets, or take the study's threshold"
        )
    scores = dice_by_threshold(maps[defective], truth[defective], sigma=sigma, ks=ks)
    return float(ks[int(scores.mean(axis=0).argmax())])


def sheet_scores(
    maps: FloatMap, truth: NDArray[np.generic], rows: Sequence[int], *, k: float, sigma: float
) -> pd.DataFrame:
    """Score each blurred map against its sheet's mask.

    Args:
        maps: Evidence ``[N, h, w]``, finite and never negative.
        truth: Masks ``[N, h, w]``.
        rows: The sheets' numbers ``[N]``, by which tables of several methods are paired.
        k: The mask is where the blurred map is above its mean + k sd.
        sigma: Of the blur, in tensor pixels.

    Returns:
        One row a sheet, indexed by ``row``: ``recall, precision, iou, dice`` of the mask; ``pointing_game,
        relevance_mass, pixel_ap`` of the blurred map itself. 0 to 1; nan all along where the true mask is empty, and
        never elsewhere.

    Raises:
        ValueError: A map has values that are negative or not finite.
    """
    _check_evidence(maps)
    blurred = localisation.smooth(maps, sigma)
    return mask_scores(localisation.threshold_mask(blurred, k), blurred, truth, rows)


def mask_scores(
    predicted: NDArray[np.bool_], maps: FloatMap, truth: NDArray[np.generic], rows: Sequence[int]
) -> pd.DataFrame:
    """Score masks and the maps behind them against the sheets' own masks, as `sheet_scores` returns them.

    Args:
        predicted: Masks ``[N, h, w]``.
        maps: Evidence ``[N, h, w]``, as it was when it became a mask.
        truth: Masks ``[N, h, w]``.
        rows: The sheets' numbers ``[N]``.
    """
    scores = {
        "recall": localisation.recall(predicted, truth),
        "precision": localisation.precision(predicted, truth),
        "iou": localisation.iou(predicted, truth),
        "dice": localisation.dice(predicted, truth),
        "pointing_game": localisation.pointing_game(maps, truth),
        "relevance_mass": localisation.relevance_mass(maps, truth),
        "pixel_ap": localisation.pixel_average_precision(maps, truth),
    }
    return pd.DataFrame(scores, index=pd.Index(rows, name="row"))


def score_table(
    per_sheet: Mapping[str, pd.DataFrame],
    about: pd.DataFrame,
    *,
    control: str = "local_contrast",
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Average the scores of methods and controls over the sheets, and compare them in pairs on the same sheets.

    Gains are mean differences of a sheet's Dice (or pixel average precision) to the same sheet's under ``control``,
    and under the method's own network of random weights. Intervals are 95 % and resample the sheets (Efron 1979); they
    are nan for fewer than 5 sheets.

    Args:
        per_sheet: What `sheet_scores` returns, for each method and control. Sheets without a mask do not count. A
            method may have fewer sheets than the control, not others.
        about: Indexed by the same names, which gives the order of the rows: ``kind`` (``method`` or ``control``),
            ``ms_per_image``, ``k``, ``k_chosen_on`` (``study`` or ``validation``). Further columns, stability say, are
            carried along.
        control: That every gain is measured against.
        n_samples: Number of resamples.
        seed: Of the resamples.

    Returns:
        One row a method or control with the columns `COLUMNS`, then the further ones of ``about``. ``n`` sheets stand
        behind all scores and gains of a row, but for a gain over a random network that has fewer itself.
        ``beats_random_network`` is True where the interval of the Dice gain over ``<method>_random_network`` lies above
        0, False where it does not, None where there is no such row or no interval.

    Raises:
        ValueError: Names of both arguments differ, or a method has sheets that the control lacks.
    """
    if set(per_sheet) != set(about.index):
        raise ValueError(f"scores and descriptions differ in {sorted(set(per_sheet) ^ set(about.index))}")
    scored = {name: scores.dropna() for name, scores in per_sheet.items()}
    reference = scored[control]
    rows = []
    for name in about.index:
        scores = scored[name]
        if not scores.index.isin(reference.index).all():
            raise ValueError(f"{name} was scored on sheets that {control} was not scored on")
        over_control = scores - reference.loc[scores.index]
        compared = {"dice": scores["dice"], "gain": over_control["dice"], "pixel_ap_gain": over_control["pixel_ap"]}
        random = scored.get(f"{name}{RANDOM_NETWORK}", scores.iloc[:0])
        over_random = _means(pd.DataFrame({"random_network_gain": (scores - random)["dice"].dropna()}), n_samples, seed)
        rows.append(
            {
                "method": name,
                "n": len(scores),
                **scores.mean().to_dict(),
                **_means(pd.DataFrame(compared), n_samples, seed),
                **over_random,
                "beats_random_network": is_above_zero(over_random["random_network_gain_low"]),
            }
        )
    table = pd.DataFrame(rows).astype({"beats_random_network": object}).join(about, on="method")
    return table[[*COLUMNS, *(column for column in about.columns if column not in COLUMNS)]]


def score_table_by_class(
    per_sheet: Mapping[str, pd.DataFrame],
    about: pd.DataFrame,
    index: pd.DataFrame,
    class_names: Sequence[str],
    *,
    control: str = "local_contrast",
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Compute `score_table` of the sheets of each defect class; a sheet of several classes counts for each.

    Args:
        per_sheet: As in `score_table`.
        about: As in `score_table`.
        index: The ``sheet_index``: ``row, label_1 .. label_K``.
        class_names: The K defect classes, in order.
        control: As in `score_table`.
        n_samples: As in `score_table`.
        seed: As in `score_table`.

    Returns:
        ``class`` (1..K), ``class_name``, then the columns of `score_table`. A class has no row for a method that was
        scored on none of its sheets.
    """
    tables = []
    for k, name in enumerate(class_names, start=1):
        members = index.loc[index[f"label_{k}"] > 0, "row"]
        of_class = {method: scores[scores.index.isin(members)].dropna() for method, scores in per_sheet.items()}
        present = [method for method in about.index if len(of_class[method])]
        if present:
            table = score_table(
                {method: of_class[method] for method in present},
                about.loc[present],
                control=control,
                n_samples=n_samples,
                seed=seed,
            )
            table.insert(0, "class", k)
            table.insert(1, "class_name", name)
            tables.append(table)
    return pd.concat(tables, ignore_index=True)


def _means(values: pd.DataFrame, n_samples: int, seed: int) -> dict[str, float]:
    """Average each column over the sheets: ``name``, and its interval ``name_low, name_high``; nan if undefined."""
    n, array = len(values), values.to_numpy()
    if n >= FEWEST_VALUES:
        samples = bootstrap(lambda weights: weights @ array / n, n, n_samples, seed)
    else:
        samples = np.empty((0, array.shape[1]))
    means = dict(values.mean())
    for name, of_name in zip(values.columns, samples.T, strict=True):
        means[f"{name}_low"], means[f"{name}_high"] = (
            math.nan if end is None else end for end in percentile_interval(of_name)
        )
    return means


def is_above_zero(low: float) -> bool | None:
    """Tell whether an interval whose lower end is ``low`` lies above 0; None where it is undefined."""
    return None if math.isnan(low) else bool(low > 0)


def _check_evidence(maps: FloatMap) -> None:
    for i, values in enumerate(maps):
        if not (np.isfinite(values).all() and values.min() >= 0):
            raise ValueError(f"map {i} is no evidence: it has values that are negative or not finite")
