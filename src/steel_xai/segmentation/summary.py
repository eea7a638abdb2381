"""Scores of segmentation networks with their intervals, and what the loss does, in one sentence."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.intervals import mean_with_interval
from steel_xai.segmentation.scores import by_class, class_counts, sheet_means

FILTERS = ("without_filter", "with_filter")
"""Names of the values 0 and 1 of ``filtered``."""

ALL_SHEETS, SHEETS_WITH_CLASS = "all_sheets", "sheets_with_class"


def summarise(
    counts: pd.DataFrame, class_names: Sequence[str], *, n_samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Average a network's scores over the test sheets, without and with the filter.

    Args:
        counts: As `evaluation.count_held_out` returns them.
        class_names: The K classes.
        n_samples: Resamples of the sheets behind the 95 % intervals.
        seed: Of the resamples.

    Returns:
        For each of ``FILTERS``: ``dice`` and ``iou``, each over ``all_sheets`` (1 where a class is neither there nor
        found, as Kaggle) and over ``sheets_with_class``, each ``by_class`` and as ``mean`` over a sheet's classes (its
        own ones for ``sheets_with_class``): ``mean, low, high, n``. Then ``pixel_accuracy``, the ``components`` and
        ``isolated_pixels`` a sheet with the same four, ``isolated_share`` of all defect pixels found,
        ``sheets_by_number_of_classes`` (rows actual, columns predicted, 0..K) and the share of sheets where that
        number is right, ``number_of_classes_accuracy``.
    """
    test = counts[counts["split"] == "test"]
    summary = {}
    for filtered, name in enumerate(FILTERS):
        table = test[test["filtered"] == filtered]
        parts = {**_per_sheet(table), **_scores(table, class_names)}
        summary[name] = _average(parts, n_samples, seed)
        found = table[table["class"] > 0]
        matrix = class_counts(table, len(class_names))
        summary[name] |= {
            "isolated_share": float(found["isolated"].sum() / max(1, found["found"].sum())),
            "sheets_by_number_of_classes": matrix.tolist(),
            "number_of_classes_accuracy": float(np.trace(matrix) / matrix.sum()),
        }
    return summary


def compare_losses(
    cross_entropy: pd.DataFrame, soft_dice: pd.DataFrame, *, n_samples: int, seed: int
) -> dict[str, Any]:
    """Compare two networks that differ in their loss alone, in pairs on the same test sheets, without filter.

    Args:
        cross_entropy: Counts of the one, as `evaluation.count_held_out` returns them.
        soft_dice: Counts of the other.
        n_samples: Resamples of the sheets behind the 95 % intervals.
        seed: Of the resamples.

    Returns:
        Mean differences, cross-entropy less smooth Dice, with ``mean, low, high, n``: ``dice_all_sheets,
        dice_sheets_with_class`` (means over a sheet's classes), ``false_classes, components,
        isolated_pixels, error_of_number_of_classes`` a sheet; and a ``sentence``.
    """
    one, other = (_cleanness(table) for table in (cross_entropy, soft_dice))
    differences = _average({name: one[name] - other[name] for name in one}, n_samples, seed)
    return {**differences, "sentence": _sentence(differences)}


def in_words(mean: Mapping[str, Any]) -> str:
    """Write a mean with its 95 % interval and the number of sheets behind it."""
    if not mean["n"]:
        return "undefined (n = 0)"
    return f"{mean['mean']:.3f} [{mean['low']:.3f}, {mean['high']:.3f}] (n = {mean['n']})"


def dice_of_sheets(counts: pd.DataFrame, split: str) -> pd.Series:
    """Average the Dice of each sheet's own classes, by ``row``, without filter; NaN for a sheet without a defect."""
    table = counts[(counts["split"] == split) & (counts["filtered"] == 0)]
    return pd.Series(sheet_means(by_class(table, "dice", only_true=True)), index=pd.Index(table["row"].unique()))


def _scores(table: pd.DataFrame, class_names: Sequence[str]) -> dict[str, Any]:
    scores: dict[str, Any] = {}
    for score in ("dice", "iou"):
        for name, only_true in ((ALL_SHEETS, False), (SHEETS_WITH_CLASS, True)):
            values = by_class(table, score, only_true=only_true)
            classes = dict(zip(class_names, values.T, strict=True))
            scores.setdefault(score, {})[name] = {"mean": sheet_means(values), "by_class": classes}
    return scores


def _per_sheet(table: pd.DataFrame) -> dict[str, np.ndarray]:
    sheets = table.groupby("row", sort=False)
    return {
        "pixel_accuracy": (sheets["both"].sum() / sheets["true"].sum()).to_numpy(),
        "components": sheets["components"].sum().to_numpy(float),
        "isolated_pixels": sheets["isolated"].sum().to_numpy(float),
    }


def _average(values: Mapping[str, Any], n_samples: int, seed: int) -> dict[str, Any]:
    """Replace each array of sheets by its mean with interval; what no sheet defines is None."""
    result: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            result[name] = _average(value, n_samples, seed)
        else:
            mean = mean_with_interval(value, n_samples, seed)
            result[name] = {key: None if isinstance(x, float) and np.isnan(x) else x for key, x in mean.items()}
    return result


def _cleanness(counts: pd.DataFrame) -> dict[str, np.ndarray]:
    table = counts[(counts["split"] == "test") & (counts["filtered"] == 0)]
    true, found = (by_class(table, column) > 0 for column in ("true", "found"))
    per_sheet = _per_sheet(table)
    return {
        "dice_all_sheets": sheet_means(by_class(table, "dice")),
        "dice_sheets_with_class": sheet_means(by_class(table, "dice", only_true=True)),
        "false_classes": (found & ~true).sum(axis=1).astype(float),
        "components": per_sheet["components"],
        "isolated_pixels": per_sheet["isolated_pixels"],
        "error_of_number_of_classes": np.abs(found.sum(axis=1) - true.sum(axis=1)).astype(float),
    }


def _sentence(differences: Mapping[str, Mapping[str, Any]]) -> str:
    everywhere, false = differences["dice_all_sheets"], differences["false_classes"]
    return (
        f"{_verdict(differences)}: without the filter of small components, on n = {everywhere['n']} test sheets its "
        f"Dice over all sheets differs by {_write(everywhere)}, the number of classes found that are not there by "
        f"{_write(false)} a sheet and that of isolated pixels by {_write(differences['isolated_pixels'])}; over the "
        f"sheets with a class its Dice differs by {_write(differences['dice_sheets_with_class'])}."
    )


def _verdict(differences: Mapping[str, Mapping[str, Any]]) -> str:
    """Tell whether cross-entropy is cleaner: higher Dice over all sheets and fewer classes that are not there.

    Only intervals beside 0 count. A network that finds less has fewer false classes as well, and often the higher Dice
    over all sheets, most of which lack most classes: its Dice over the sheets with a class then speaks against both.
    """
    finding = "the study's finding that cross-entropy is cleaner than smooth Dice"
    everywhere, own = (_sign(differences[name]) for name in ("dice_all_sheets", "dice_sheets_with_class"))
    fewer = -_sign(differences["false_classes"])
    measures = (
        (fewer, "fewer", "more", "classes that are not there"),
        (everywhere, "higher", "lower", "Dice over all sheets"),
        (own, "higher", "lower", "Dice over the sheets with a class"),
    )
    better = [f"{word} {measure}" for sign, word, _, measure in measures if sign > 0]
    worse = [f"{word} {measure}" for sign, _, word, measure in measures if sign < 0]
    if better and worse:
        return f"The scores contradict each other here on {finding} ({', '.join(better)}, but {', '.join(worse)})"
    verdict = (
        "appears"
        if everywhere > 0 and fewer > 0
        else "appears in part"
        if everywhere > 0 or fewer > 0
        else "is reversed"
        if everywhere < 0 and fewer < 0
        else "does not appear"
    )
    return f"{finding[0].upper()}{finding[1:]} {verdict} here"


def _sign(difference: Mapping[str, Any]) -> int:
    """Return 1 or -1 where the interval lies above or below 0, else 0."""
    return int(difference["low"] > 0) - int(difference["high"] < 0) if difference["n"] else 0


def _write(difference: Mapping[str, Any]) -> str:
    if not difference["n"]:
        return "nothing that is known"
    return f"{difference['mean']:+.3f} [{difference['low']:+.3f}, {difference['high']:+.3f}]"
