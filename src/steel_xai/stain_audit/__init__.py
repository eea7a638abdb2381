"""The white-stain audit: does a classifier take stains, or another binary attribute, for a sign of a class?

Tests of what is (``observational``, on ``groups`` of sheets), of what an intervention does, and of where the
explanation points (``attribution_share``); ``verdict`` makes one word and sentences of their numbers.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.parameters import StainDetectionParameters

Explain = Callable[[NDArray[np.integer]], NDArray[np.floating]]
"""From rows of n sheets to their signed relevance for the output that is audited, [n, h, w]."""


def audit(
    predictions: pd.DataFrame,
    sheet_index: pd.DataFrame,
    sheets: NDArray[np.uint8],
    *,
    attribute: str,
    name: str,
    output: int,
    outputs: Sequence[str],
    listed: pd.DataFrame | None,
    explain: Explain | None,
    interventional: Mapping[str, Any] | None,
    stain_detection: StainDetectionParameters,
    per_group: int,
    min_group: int,
    caliper: float,
    level: float,
    min_effect: float,
    min_shift: float,
    n_samples: int,
    seed: int,
    data_source: str,
) -> tuple[dict[str, Any], pd.DataFrame]:
    """Audit a classifier by its defect-free test sheets and judge.

    White stains are suspected to be taken for a sign of no defect, black edges for one of the defect near them, so each
    attribute has an output of its own that is looked at.

    Args:
        predictions: ``row, image_id, split, label, p_0 .. p_{K-1}``; label 0 is "no defect".
        sheet_index: ``row, image_id, duplicate_group, white_stain, ...``.
        sheets: uint8 [N, C, h, w].
        attribute: ``white_stain``, another 0/1 column of the index, or ``black_edge``.
        name: Of the attribute in the plural, for sentences: "white stains".
        output: That the attribute is suspected to speak for: 0 for "no defect".
        outputs: Names of all outputs.
        listed: A user's table ``image_id, attribute``, which takes the attribute's place.
        explain: Explains the sheets with the attribute. Only stains can be found in a picture, so that the relevance of
            other attributes is not measured; None leaves it out.
        interventional: The interventions' results, as `verdict.judge` takes them; None where none is defined.
        stain_detection: Parameters of the stain detector.
        per_group: Sheets in each group at most.
        min_group: With fewer sheets nothing is tested.
        caliper: Grey levels by which the brightness of matched sheets may differ.
        level: Of each test.
        min_effect: Rank-biserial correlation from which on a difference counts.
        min_shift: Of P, from which on what a paste does counts.
        n_samples: Resamples for the effect's interval.
        seed: Of the groups and the resampling.
        data_source: Of the sheets, kept in the record.

    Returns:
        A JSON-able record and the sheets behind it. The record holds ``data_source, attribute, name, output`` (its
        name), ``seed``, the settings, the numbers of ``observational.compare_confidence``, ``matched`` (the same of the
        pairs, with ``caliper``), ``attribution``, all of ``interventional`` and what `verdict.judge` says. The table
        ``row, image_id, attributed, probability, log_odds, brightness, drawn`` (in the groups), ``pair`` (its number,
        -1 for none) has the sheets that are in the groups or in a pair.

    Raises:
        InputError: There is no such attribute, or the list cannot be read.
    """
    from steel_xai.stain_audit.attribution_share import measure_attribution_share
    from steel_xai.stain_audit.groups import WHITE_STAIN, defect_free_sheets
    from steel_xai.stain_audit.verdict import judge
    from steel_xai.white_stains import detect_white_stains

    found = defect_free_sheets(
        predictions, sheet_index, sheets, attribute=attribute, listed=listed, output=output, seed=seed
    )
    table = _assign_groups(found, sheets, stain_detection, per_group=per_group, caliper=caliper)
    settings: dict[str, Any] = {"min_group": min_group, "n_samples": n_samples, "seed": seed}
    observational = _compare(table[table["drawn"]], settings)
    matched = _compare(table[table["pair"] >= 0], settings)
    attribution = None
    if explain is not None and attribute == WHITE_STAIN and listed is None:
        rows = table.loc[table["drawn"] & table["attributed"], "row"].to_numpy()
        stains = detect_white_stains(np.asarray(sheets[rows]), stain_detection)
        attribution = measure_attribution_share(explain(rows), stains, min_group=min_group)
    judged = judge(
        observational=observational,
        matched=matched,
        attribution=attribution,
        interventional=interventional,
        level=level,
        min_effect=min_effect,
        min_shift=min_shift,
        name=name,
        output=outputs[output],
    )
    record = {
        "data_source": data_source,
        "attribute": attribute if listed is None else "listed",
        "name": name,
        "output": outputs[output],
        "seed": seed,
        "level": level,
        "min_effect": min_effect,
        "min_shift": min_shift,
        "min_group": min_group,
        **judged,
        **observational,
        "matched": {"caliper": caliper, **matched},
        "attribution": attribution,
        **(interventional or dict.fromkeys(("paste", "plain_patch", "difference", "removal"))),
    }
    return record, table


def _assign_groups(
    found: pd.DataFrame,
    sheets: NDArray[np.uint8],
    stain_detection: StainDetectionParameters,
    *,
    per_group: int,
    caliper: float,
) -> pd.DataFrame:
    """Draw the groups, and pair the drawn sheets with the attribute with any of those without."""
    from steel_xai.stain_audit.groups import draw_groups, match_brightness, steel_brightness

    table = found.assign(brightness=steel_brightness(sheets, found["row"].to_numpy(), stain_detection), pair=-1)
    table["drawn"] = table["row"].isin(draw_groups(table, per_group=per_group)["row"])
    with_attribute = table.index[table["drawn"] & table["attributed"]]
    without = table.index[~table["attributed"]]
    brightness = table["brightness"]
    pairs = match_brightness(brightness[with_attribute].to_numpy(), brightness[without].to_numpy(), caliper=caliper)
    for k, group in enumerate((with_attribute, without)):
        table.loc[group[pairs[:, k]], "pair"] = np.arange(len(pairs))
    return table[table["drawn"] | (table["pair"] >= 0)].reset_index(drop=True)


def _compare(part: pd.DataFrame, settings: Mapping[str, Any]) -> dict[str, Any]:
    from steel_xai.stain_audit.observational import compare_confidence

    log_odds = part["log_odds"].to_numpy()
    attributed = part["attributed"].to_numpy(bool)
    return compare_confidence(log_odds[attributed], log_odds[~attributed], **settings)
