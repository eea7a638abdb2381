"""Dose-response: the more stain, the more "no defect"?"""

from dataclasses import replace
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.classifier import Classifier
from steel_xai.stain_audit.changes import Changed, paste_stains
from steel_xai.stain_audit.interventions import no_defect
from steel_xai.stain_audit.material import Material
from steel_xai.stain_audit.shifts import shift
from steel_xai.stain_audit.stains import Stain

COLUMNS = ["series", "kind", "n_stains", "area_share", "median_shift", "low", "high", "p_value", "n"]
STAIN, PLAIN_PATCH = "stain", "plain patch"
NUMBER, AREA = "number", "area"


def measure_dose_response(
    classifier: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    material: Material,
    *,
    max_stains: int,
    area_levels: int,
    max_sheets: int,
    min_sheets: int,
    n_samples: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> pd.DataFrame:
    """Measure the shift of P(no defect) on defective sheets over the number and over the area of pasted stains.

    Stains of different area are different stains of the natural sizes: one that is enlarged or shrunk looks like none.
    All doses are measured on the same sheets, those with room for every one of them.

    Args:
        classifier: Its output 0 is "no defect".
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        material: Stains, plain steel, and the defective sheets, of which the first are taken.
        max_stains: Numbers of stains from 1 to this are the series ``number``.
        area_levels: Into so many parts, smallest to largest, the stains are divided for the series ``area``.
        max_sheets: At most.
        min_sheets: Fewer are not tested: the table is empty.
        n_samples: Resamples of the sheets behind each interval.
        batch_size: Of the network's forward passes.
        device: Where it runs.
        seed: Of places and resamples.

    Returns:
        A row for each ``series`` (``number``, ``area``), ``kind`` (``stain``, ``plain patch``) and dose, which rises:
        ``n_stains``; ``area_share``, the mean share of the sheet that is covered by half or more; ``median_shift`` of
        P(no defect) with its 95 % bootstrap interval ``low, high``; the one-sided ``p_value`` of Wilcoxon's signed-rank
        test; and the number ``n`` of sheets.
    """
    rows = material.defective[:max_sheets]
    pasted = [
        (series, n, paste_stains(sheets, masks, rows, replace(material, stains=stains), seed=seed, n_stains=n))
        for series, n, stains in _doses(material.stains, max_stains, area_levels)
    ]
    common = np.array([all(row in changed.rows for _, _, changed in pasted) for row in rows], dtype=bool)
    if common.sum() < max(min_sheets, 1):
        return pd.DataFrame(columns=COLUMNS)

    def probability(pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.asarray(no_defect(classifier, pictures, batch_size=batch_size, device=device)["p_no_defect"])

    before = probability(np.asarray(sheets[rows[common]]))
    table = []
    for series, n, changed in pasted:
        part = changed.take(np.isin(changed.rows, rows[common]))
        for kind, pictures in ((STAIN, part.treated), (PLAIN_PATCH, part.control)):
            found = shift(
                before,
                probability(pictures),
                direction="greater",
                min_sheets=min_sheets,
                n_samples=n_samples,
                seed=seed,
            )
            dose = {"series": series, "kind": kind, "n_stains": n, "area_share": _area_share(part)}
            table.append({**dose, "median_shift": found.pop("median"), **found})
    by_dose = pd.DataFrame(table)[COLUMNS]
    return by_dose.sort_values(["series", "kind"], kind="stable", ascending=False, ignore_index=True)


def _doses(stains: list[Stain], max_stains: int, area_levels: int) -> list[tuple[str, int, list[Stain]]]:
    """List series, number of stains, and the stains to choose from of each dose."""
    by_area = sorted(stains, key=lambda stain: stain.area)
    parts = [part for part in np.array_split(np.arange(len(by_area)), area_levels) if len(part)]
    return [
        *((NUMBER, n, stains) for n in range(1, max_stains + 1)),
        *((AREA, 1, [by_area[i] for i in part]) for part in parts),
    ]


def _area_share(changed: Changed) -> float:
    return float(changed.where.mean())
