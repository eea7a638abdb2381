"""What the interventions of the audit work with: which sheets, which stains, which plain steel."""

from dataclasses import dataclass
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.stains import Stain, cut_stains, drawn_stains

MIN_STAINS = 5
"""Cut-outs below which stains are drawn instead: a test with one stain says what that one does."""
_DRAWN = 30

Rows = NDArray[np.int64]


@dataclass(frozen=True)
class Material:
    """Rows of test sheets by group, stains to paste, and rows of unstained defect-free sheets to cut plain steel from.

    ``defective`` and ``defect_free`` sheets are unstained, ``stained`` ones defect-free. Of near-duplicate frames of
    one strip only one is taken, because tests ask for independent sheets. Stains come from validation and test sheets,
    plain steel from validation sheets: a network knows those of its training by heart, and one that was trained with
    pasted stains would be asked about the very same ones. ``unmasked`` counts defective sheets left out because
    nothing tells where their defect is.
    """

    defective: Rows
    defect_free: Rows
    stained: Rows
    plain: Rows
    stains: list[Stain]
    origin: Literal["cut out", "drawn"]
    unmasked: int


def collect_material(
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    split: pd.DataFrame,
    *,
    white_stains: StainDetectionParameters,
    max_sheets: int,
    seed: int,
) -> Material:
    """Choose sheets, in random order, and cut stains out of the stained defect-free ones.

    Args:
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w], on which pasting avoids the defects.
        sheet_index: ``row, white_stain, duplicate_group``.
        split: ``row, label, split, copy``; label 0 is "no defect".
        white_stains: Parameters of the detector.
        max_sheets: Of each group, at most.
        seed: Of the order, and of stains that have to be drawn.
    """
    about = sheet_index.set_index("row")
    table = split.loc[split["copy"] == 0, ["row", "label", "split"]]
    table = table.assign(
        stained=about.loc[table["row"], "white_stain"].to_numpy() == 1,
        strip=about.loc[table["row"], "duplicate_group"].to_numpy(),
    ).sample(frac=1, random_state=np.random.default_rng(seed))
    trained, tested = table["split"] == "train", table["split"] == "test"
    free, stained = table["label"] == 0, table["stained"]

    def rows(chosen: "pd.Series[bool]") -> Rows:
        return np.asarray(table[chosen].drop_duplicates("strip")["row"], dtype=np.int64)

    defective = rows(tested & ~free & ~stained)
    masked = np.array([masks[row].any() for row in defective], dtype=bool)
    stains = cut_stains(sheets, rows(~trained & free & stained)[:max_sheets], white_stains)
    enough = len(stains) >= MIN_STAINS
    height, width = sheets.shape[2:]
    return Material(
        defective=defective[masked][:max_sheets],
        defect_free=rows(tested & free & ~stained)[:max_sheets],
        stained=rows(tested & free & stained)[:max_sheets],
        plain=rows(~trained & ~tested & free & ~stained)[:max_sheets],
        stains=stains if enough else drawn_stains(_DRAWN, (height, width), sheets.shape[1], seed),
        origin="cut out" if enough else "drawn",
        unmasked=int((~masked).sum()),
    )
