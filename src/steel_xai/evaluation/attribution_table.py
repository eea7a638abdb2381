"""From stored maps to the table of attribution scores: methods, ensembles and controls, all treated alike."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from steel_xai import localisation
from steel_xai.attribution.convention import evidence
from steel_xai.evaluation.attribution_gains import beats_every_control, gains_over_controls
from steel_xai.evaluation.attribution_scores import (
    RANDOM_NETWORK,
    choose_threshold,
    dice_by_threshold,
    score_table,
    score_table_by_class,
    sheet_scores,
)
from steel_xai.evaluation.published import study_threshold
from steel_xai.interpretation.maps import grey_sheets, load_maps
from steel_xai.parameters import InterpretationParameters

CONTROLS = ("local_contrast", "median_deviation", "centre_prior", "noise")
"""Maps that need no model."""

logger = logging.getLogger(__name__)


class AttributionTables(NamedTuple):
    """What is known of each method and control.

    Attributes:
        scores: One row each, see ``attribution_scores.score_table``.
        by_class: The same for the sheets of each class.
        by_sheet: One row a method and test sheet: ``method, row`` and the sheet's scores.
        gains: One row a method and control, see ``attribution_gains.gains_over_controls``.
    """

    scores: pd.DataFrame
    by_class: pd.DataFrame
    by_sheet: pd.DataFrame
    gains: pd.DataFrame


def choose_thresholds(
    maps: np.ndarray,
    index: pd.DataFrame,
    sheets: np.ndarray,
    masks: np.ndarray,
    *,
    task: str,
    parameters: InterpretationParameters,
    seed: int,
) -> pd.DataFrame:
    """Choose k of every method, ensemble and control alike on the explained validation sheets, or take the study's.

    Where labels come without masks there is nothing to choose it on, so that it is the study's whatever was asked for.

    Args:
        maps: float16 [M, h, w], as ``interpretation.explain.explain_sheets`` stages them.
        index: Of the maps.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w]; [0, h, w] where labels come without masks.
        task: Name of the task, for the study's thresholds.
        parameters: Of the interpretation.
        seed: Of the noise control.

    Returns:
        One row each: ``method, kind`` (``method`` or ``control``), ``k, k_chosen_on, validation_dice`` (mean Dice with
        that k, nan without masks) and ``n_validation`` (0 without). By ``validation_dice`` methods are compared,
        never on test sheets.

    Raises:
        InputError: The study has no threshold for the task and it was asked for.
    """
    rows = []
    chosen_on = parameters.threshold if len(masks) else "study"
    if chosen_on != parameters.threshold:
        logger.warning("The labels come without masks: k of the maps' masks is the study's, chosen on no sheet.")
    for name, values in _evidence_by_name(maps, index, sheets, parameters, "validation", seed).items():
        truth = _truth(masks, values) if len(masks) else np.zeros((0, *masks.shape[1:]), bool)
        k = (
            choose_threshold(values.evidence, truth, sigma=parameters.blur)
            if chosen_on == "validation"
            else study_threshold(task, method_of(name))
        )
        rows.append(
            {
                "method": name,
                "kind": "control" if name in CONTROLS or name.endswith(RANDOM_NETWORK) else "method",
                "k": k,
                "k_chosen_on": chosen_on,
                "validation_dice": float(
                    np.nanmean(dice_by_threshold(values.evidence, truth, sigma=parameters.blur, ks=[k]))
                )
                if len(truth)
                else np.nan,
                "n_validation": len(truth),
            }
        )
    return pd.DataFrame(rows)


def winning_method(thresholds: pd.DataFrame, index: pd.DataFrame) -> str:
    """Name the method (no ensemble, no control) of ``best_on_validation``, among those that explain sheets."""
    return str(best_on_validation(thresholds[thresholds["method"].isin(index["name"])])["method"])


def best_on_validation(table: pd.DataFrame) -> "pd.Series[Any]":
    """Choose the method of the highest Dice on validation sheets, of those that explain as many of them as any does.

    Args:
        table: ``kind, validation_dice, n_validation`` of every row; LIME explains fewer sheets than others.

    Returns:
        Its row.
    """
    methods = table[(table["kind"] == "method") & table["validation_dice"].notna()]
    equal = methods[methods["n_validation"] == methods["n_validation"].max()]
    return equal.loc[equal["validation_dice"].idxmax()]


def tabulate(
    maps: np.ndarray,
    index: pd.DataFrame,
    sheets: np.ndarray,
    masks: np.ndarray,
    sheet_index: pd.DataFrame,
    thresholds: pd.DataFrame,
    stability: pd.DataFrame,
    *,
    class_names: list[str],
    parameters: InterpretationParameters,
    seed: int,
) -> AttributionTables:
    """Score every method, ensemble and control on the explained test sheets.

    Args:
        maps: As for ``choose_thresholds``, and so are index, sheets, masks, parameters and seed.
        index: Of the maps.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        sheet_index: Classes of the sheets.
        thresholds: As ``choose_thresholds`` returns them.
        stability: Further columns, by ``method``.
        class_names: The K defect classes.
        parameters: Of the interpretation.
        seed: Of the noise control and the resamples.
    """
    described = thresholds.set_index("method").join(stability.set_index("method"))
    described["ms_per_image"] = index.drop_duplicates("name").set_index("name")["ms_per_image"]
    per_sheet = {
        name: sheet_scores(
            values.evidence,
            _truth(masks, values),
            values.rows.tolist(),
            k=described.loc[name, "k"],
            sigma=parameters.blur,
        )
        for name, values in _evidence_by_name(maps, index, sheets, parameters, "test", seed).items()
    }
    options: dict[str, Any] = {"n_samples": parameters.bootstrap_samples, "seed": seed}
    by_sheet = pd.concat(
        [table.reset_index().assign(method=name) for name, table in per_sheet.items()], ignore_index=True
    )
    controls = described.index[described["kind"] == "control"].tolist()
    gains = gains_over_controls(per_sheet, controls, **options)
    described["beats_every_control"] = beats_every_control(gains)
    return AttributionTables(
        score_table(per_sheet, described, **options),
        score_table_by_class(per_sheet, described, sheet_index, class_names, **options),
        by_sheet[["method", *(column for column in by_sheet.columns if column != "method")]],
        gains,
    )


def control_maps(rows: np.ndarray, sheets: np.ndarray, seed: int) -> dict[str, np.ndarray]:
    """Make the maps ``[n, h, w]`` of all ``CONTROLS`` for some sheets."""
    grey = grey_sheets(sheets, rows)
    made = (
        localisation.local_contrast(grey),
        localisation.median_deviation(grey),
        localisation.centre_prior(grey.shape),
        localisation.noise(rows.tolist(), grey.shape[1:], seed),
    )
    return dict(zip(CONTROLS, made, strict=True))


def method_of(name: str) -> str:
    """Name the method of a row, be it of the trained network or of the random one."""
    return name.removesuffix(RANDOM_NETWORK)


class _Evidence(NamedTuple):
    rows: np.ndarray
    evidence: np.ndarray


def _evidence_by_name(
    maps: np.ndarray,
    index: pd.DataFrame,
    sheets: np.ndarray,
    parameters: InterpretationParameters,
    split: str,
    seed: int,
) -> dict[str, _Evidence]:
    """Gather what methods, ensembles and controls say of the explained sheets of a split."""
    found = {}
    for name in index["name"].unique():
        values, part = load_maps(maps, index, name, split)
        found[name] = _Evidence(part["row"].to_numpy(), evidence(values, method_of(name)))
    found |= _ensembles(found, parameters.ensembles)
    rows = max((values.rows for values in found.values()), key=len)
    return found | {name: _Evidence(rows, values) for name, values in control_maps(rows, sheets, seed).items()}


def _ensembles(found: Mapping[str, _Evidence], ensembles: Mapping[str, list[str]]) -> dict[str, _Evidence]:
    """Average the ranks of methods, of the trained network and of the random one, on the sheets that all explain."""
    result = {}
    for name, members in ensembles.items():
        for suffix in ("", RANDOM_NETWORK):
            parts = [found[member + suffix] for member in members if member + suffix in found]
            if len(parts) == len(members):
                n = min(len(part.rows) for part in parts)  # all begin with the same sheets
                ranks = localisation.mean_rank([part.evidence[:n] for part in parts])
                result[name + suffix] = _Evidence(parts[0].rows[:n], ranks)
    return result


def _truth(masks: np.ndarray, part: _Evidence) -> np.ndarray:
    truth: np.ndarray = np.asarray(masks[part.rows]) != 0
    return truth
