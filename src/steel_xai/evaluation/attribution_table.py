"""From stored maps to the table of attribution scores: methods, ensembles and controls, all treated alike."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from steel_xai import localisation
from steel_xai.attribution.convention import evidence
from steel_xai.evaluation.attribution_scores import (
    RANDOM_NETWORK,
    choose_threshold,
    score_table,
    score_table_by_class,
    sheet_scores,
)
from steel_xai.evaluation.published import study_threshold
from steel_xai.explanations import grey_sheets, load_maps
from steel_xai.parameters import InterpretationParameters

CONTROLS = ("local_contrast", "median_deviation", "centre_prior", "noise")
"""Maps that need no model."""


class AttributionTables(NamedTuple):
    """What is known of each method and control.

    Attributes:
        scores: One row each, see ``attribution_scores.score_table``.
        by_class: The same for the sheets of each class.
        by_sheet: One row a method and test sheet: ``method, row`` and the sheet's scores.
    """

    scores: pd.DataFrame
    by_class: pd.DataFrame
    by_sheet: pd.DataFrame


def tabulate(
    maps: np.ndarray,
    index: pd.DataFrame,
    sheets: np.ndarray,
    masks: np.ndarray,
    sheet_index: pd.DataFrame,
    *,
    task: str,
    class_names: list[str],
    parameters: InterpretationParameters,
    seed: int,
    stability: pd.DataFrame | None = None,
) -> AttributionTables:
    """Score every method, ensemble and control on the explained test sheets.

    Thresholds of methods and controls alike are chosen on the explained validation sheets, or are the study's.

    Args:
        maps: float16 [M, h, w], as ``explanations.explain_sheets`` stages them.
        index: Of the maps.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        sheet_index: Classes of the sheets.
        task: Name of the task, for the study's thresholds.
        class_names: The K defect classes.
        parameters: Of the interpretation.
        seed: Of the noise control and the resamples.
        stability: Further columns, by ``method``.

    Raises:
        InputError: The study has no threshold for the task and it was asked for.
    """
    found = {name: _by_split(maps, index, name) for name in index["name"].unique()}
    found |= _ensembles(found, parameters.ensembles)
    found |= _controls(found, sheets, seed)
    per_sheet, about = {}, {}
    for name, by_split in found.items():
        own = _method_of(name)
        k = (
            choose_threshold(
                by_split["validation"].evidence, _truth(masks, by_split["validation"]), sigma=parameters.blur
            )
            if parameters.threshold == "validation"
            else study_threshold(task, own)
        )
        test = by_split["test"]
        per_sheet[name] = sheet_scores(
            test.evidence, _truth(masks, test), test.rows.tolist(), k=k, sigma=parameters.blur
        )
        times = index.loc[index["name"] == name, "ms_per_image"]
        about[name] = {
            "kind": "control" if name in CONTROLS or name.endswith(RANDOM_NETWORK) else "method",
            "ms_per_image": times.iloc[0] if len(times) else np.nan,
            "k": k,
            "k_chosen_on": parameters.threshold,
        }
    described = pd.DataFrame.from_dict(about, orient="index")
    if stability is not None:
        described = described.join(stability.set_index("method"))
    options: dict[str, Any] = {"n_samples": parameters.bootstrap_samples, "seed": seed}
    by_sheet = pd.concat(
        [table.reset_index().assign(method=name) for name, table in per_sheet.items()], ignore_index=True
    )
    return AttributionTables(
        score_table(per_sheet, described, **options),
        score_table_by_class(per_sheet, described, sheet_index, class_names, **options),
        by_sheet[["method", *(column for column in by_sheet.columns if column != "method")]],
    )


class _Evidence(NamedTuple):
    rows: np.ndarray
    evidence: np.ndarray


def _by_split(maps: np.ndarray, index: pd.DataFrame, name: str) -> dict[str, _Evidence]:
    result = {}
    for split in ("validation", "test"):
        values, part = load_maps(maps, index, name, split)
        result[split] = _Evidence(part["row"].to_numpy(), evidence(values, _method_of(name)))
    return result


def _method_of(name: str) -> str:
    return name.removesuffix(RANDOM_NETWORK)


def _ensembles(
    found: Mapping[str, dict[str, _Evidence]], ensembles: Mapping[str, list[str]]
) -> dict[str, dict[str, _Evidence]]:
    """Average the ranks of methods, of the trained network and of the random one, on the sheets that all explain."""
    result = {}
    for name, members in ensembles.items():
        for suffix in ("", RANDOM_NETWORK):
            parts = [found.get(member + suffix) for member in members]
            if all(part is not None for part in parts):
                result[name + suffix] = {
                    split: _mean_rank([part[split] for part in parts if part is not None])
                    for split in ("validation", "test")
                }
    return result


def _mean_rank(parts: list[_Evidence]) -> _Evidence:
    n = min(len(part.rows) for part in parts)  # all begin with the same sheets
    return _Evidence(parts[0].rows[:n], localisation.mean_rank([part.evidence[:n] for part in parts]))


def _controls(
    found: Mapping[str, dict[str, _Evidence]], sheets: np.ndarray, seed: int
) -> dict[str, dict[str, _Evidence]]:
    result: dict[str, dict[str, _Evidence]] = {name: {} for name in CONTROLS}
    for split in ("validation", "test"):
        rows = max((by_split[split].rows for by_split in found.values()), key=len)
        grey = grey_sheets(sheets, rows)
        made = (
            localisation.local_contrast(grey),
            localisation.median_deviation(grey),
            localisation.centre_prior(grey.shape),
            localisation.noise(rows.tolist(), grey.shape[1:], seed),
        )
        for name, values in zip(CONTROLS, made, strict=True):
            result[name][split] = _Evidence(rows, values)
    return result


def _truth(masks: np.ndarray, part: _Evidence) -> np.ndarray:
    truth: np.ndarray = np.asarray(masks[part.rows]) != 0
    return truth
