"""Where something may be pasted: on steel, off the defect and off the black end."""

import numpy as np
from numpy.typing import NDArray

from steel_xai.localisation import sheet_region
from steel_xai.sheets.grey import grey_levels
from steel_xai.stain_audit.stains import Mask, Sheet, widened

_MARGIN = 1 / 16
"""Distance kept from a defect's mask, as a share of the sheet's height: annotations are not exact."""


def free_steel(sheet: Sheet, mask: NDArray[np.uint8]) -> Mask:
    """Pixels [h, w] of a sheet [C, h, w] that show steel, away from its defects (bit field [h, w])."""
    defect = mask != 0
    if defect.any():
        defect = widened(defect, _MARGIN * mask.shape[0])
    return np.asarray(sheet_region(grey_levels(sheet)[None])[0] & ~defect)


def places(free: Mask, shape: Mask, *, top: int | None = None) -> NDArray[np.int64]:
    """List all places (top, left) at which a shape [a, b] covers free pixels only, [n, 2].

    Args:
        free: [h, w].
        shape: True where something will be changed; one larger than the sheet fits nowhere.
        top: Only at this row.
    """
    import cv2

    if shape.shape[0] > free.shape[0] or shape.shape[1] > free.shape[1]:
        return np.empty((0, 2), np.int64)
    covered = cv2.matchTemplate((~free).astype(np.float32), shape.astype(np.float32), cv2.TM_CCORR)
    fits = np.argwhere(covered < 0.5)
    return np.asarray(fits if top is None else fits[fits[:, 0] == top], dtype=np.int64)


def draw_place(rng: np.random.Generator, free: Mask, shape: Mask, *, top: int | None = None) -> tuple[int, int] | None:
    """Draw one of `places`, each as likely; None if there is none."""
    found = places(free, shape, top=top)
    if not len(found):
        return None
    row, column = found[rng.integers(len(found))]
    return int(row), int(column)
