"""Sheets without what a decision may rest on: white stains painted over, black ends covered by mirrored steel."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.localisation import near_black_edge, sheet_region
from steel_xai.parameters import StainDetectionParameters
from steel_xai.sheets.grey import grey_levels
from steel_xai.stain_audit.changes import remove_stains
from steel_xai.stain_audit.stains import Mask, Sheet, paint_over, whole_stains, widened
from steel_xai.white_stains import detect_white_stains

_LEAST_STEEL = 8
"""Columns of steel below which there is nothing to mirror."""

_CONTROL_SHARE = 0.5
"""Share of the fall that the control may have at most, as in the stain audit."""


@dataclass(frozen=True)
class Counterfactual:
    """A sheet [C, h, w] without something, ``where`` [h, w] that something is, and the control.

    The control is the sheet after the same treatment of plain steel; None where there is no room for it.
    """

    where: Mask
    treated: Sheet
    control: Sheet | None = None


def without_stains(sheet: Sheet, parameters: StainDetectionParameters, seed: int) -> Counterfactual | None:
    """Paint the white stains of a sheet [C, h, w] over; None where the detector finds none.

    The control paints plain steel over, in the same shapes elsewhere on the sheet.

    Args:
        sheet: uint8 [C, h, w].
        parameters: Of the detector.
        seed: Of the control's places.
    """
    found = detect_white_stains(sheet[None], parameters)[0]
    if not found.any():
        return None
    changed = remove_stains(sheet[None], np.array([0]), parameters, seed=seed)
    if len(changed.rows):
        return Counterfactual(changed.where[0], changed.treated[0], changed.control[0])
    stained = widened(whole_stains(sheet, found, parameters), 1)
    return Counterfactual(stained, paint_over(sheet, stained))


def without_black_end(sheet: Sheet, reach: float) -> Counterfactual | None:
    """Cover the black ends of a sheet [C, h, w] with its steel, mirrored at the edge; None where it has none.

    A defect near the edge stays, and has a mirror image; the edge itself is gone.

    Args:
        sheet: uint8 [C, h, w].
        reach: Pixels from the edge, on either side, that ``where`` marks.
    """
    grey = grey_levels(sheet)[None]
    steel = np.flatnonzero(sheet_region(grey)[0, 0])
    near = near_black_edge(grey, reach)[0]
    if not near.any() or len(steel) < _LEAST_STEEL:
        return None
    first, end = int(steel[0]), int(steel[-1]) + 1
    width = sheet.shape[2]
    mirrored = np.pad(sheet[:, :, first:end], ((0, 0), (0, 0), (first, width - end)), mode="reflect")
    return Counterfactual(np.broadcast_to(near, sheet.shape[1:]), mirrored)


def rests_on_it(fall: float, *, min_shift: float, control_fall: float | None = None) -> bool:
    """Tell whether a decision rests on what was taken away.

    Args:
        fall: Of the predicted class's probability without it.
        min_shift: From which fall on it counts.
        control_fall: Of the control, which may explain half of the fall at most.
    """
    return fall >= min_shift and (control_fall is None or control_fall <= _CONTROL_SHARE * fall)


def share_within(evidence: NDArray[np.floating], where: Mask) -> float:
    """Share of the evidence [h, w] that lies within a mask, 0..1; 0 of an empty map."""
    total = float(evidence.sum(dtype=np.float64))
    return float(evidence[where].sum(dtype=np.float64)) / total if total > 0 else 0.0
