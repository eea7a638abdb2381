"""White stains: saturated, ragged, chalk-like blobs on an otherwise calm surface.

The detector is tuned and measured on generated sheets, whose stains are known; that is no evidence for real sheets.
"""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.localisation import BLACK_LEVEL
from steel_xai.parameters import StainDetectionParameters
from steel_xai.sheets.parallel import map_batches

_BLACK_END_SIZE = 9
_RIM = 7
_HALO = 2
_SURROUNDINGS = 15
_SPECK = 3
_MIN_SHARE_OF_BRIGHT = 0.5


def detect_white_stains(sheets: NDArray[np.uint8], parameters: StainDetectionParameters) -> NDArray[np.bool_]:
    """Find stained pixels of sheets ``[N, C, h, w]`` (0..255); returns masks ``[N, h, w]``.

    A sheet with fewer stained pixels than ``min_area`` gets an empty mask.
    """
    masks = np.zeros((len(sheets), *sheets.shape[2:]), dtype=bool)
    for row, sheet in enumerate(sheets):
        masks[row] = _stain_mask(sheet, parameters)
    return masks


def has_white_stain(
    sheets: NDArray[np.uint8], parameters: StainDetectionParameters, *, n_jobs: int, batch_size: int
) -> NDArray[np.bool_]:
    """Tell which of the sheets ``[N, C, h, w]`` are stained, ``[N]``; reads a memory map a batch at a time."""

    def any_stain(batch: NDArray[np.uint8]) -> NDArray[np.bool_]:
        return np.asarray(detect_white_stains(batch, parameters).any(axis=(1, 2)))

    stained = np.zeros(len(sheets), dtype=bool)
    for rows, found in map_batches(
        any_stain,
        len(sheets),
        n_jobs=n_jobs,
        batch_size=batch_size,
        description="white stains",
        unit="sheet",
        take=lambda rows: np.array(sheets[rows]),
    ):
        stained[rows] = found
    return stained


def read_stain_list(table: pd.DataFrame, known_ids: Collection[str]) -> set[str]:
    """Read a user's own list of stained sheets, a table with the column ``image_id``.

    Raises:
        InputError: The column is missing, or the list names sheets that do not exist.
    """
    if "image_id" not in table.columns:
        raise InputError(f"stained_sheets.csv has the columns {','.join(table.columns)}; it needs image_id")
    listed = set(table["image_id"])
    unknown = sorted(listed - set(known_ids), key=str)
    if unknown:
        names = ", ".join(map(str, unknown[:5])) + (", ..." if len(unknown) > 5 else "")
        raise InputError(
            f"stained_sheets.csv names {len(unknown)} sheets that are not in the data: {names}; "
            "correct or remove these rows"
        )
    return listed


def _stain_mask(sheet: NDArray[np.uint8], parameters: StainDetectionParameters) -> NDArray[np.bool_]:
    """Find stained pixels ``[h, w]`` of one sheet ``[C, h, w]``."""
    import cv2

    pixels = np.ascontiguousarray(sheet.transpose(1, 2, 0))
    grey = np.asarray(pixels[:, :, 0] if len(sheet) == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY), dtype=np.uint8)
    clean = np.zeros(grey.shape, dtype=bool)
    saturated = grey >= parameters.min_brightness
    # A stain is part of what is bright: most sheets are told to be clean before the expensive steps.
    if saturated.sum() < parameters.min_area:
        return clean
    height = grey.shape[0]
    # A white top-hat keeps what is brighter than its surroundings and narrower than a third of the sheet: no
    # over-exposed bands.
    size = (height // 3) | 1
    raised = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, np.ones((size, size), dtype=np.uint8))
    sheet_end = _black_end(grey)
    bright = saturated & (raised >= parameters.min_contrast) & ~sheet_end
    # Where most of what is bright belongs to something else, the rest does too.
    least = max(parameters.min_area, _MIN_SHARE_OF_BRIGHT * bright.sum())
    if bright.sum() < least:
        return clean

    count, labels, statistics, _ = cv2.connectedComponentsWithStats(bright.astype(np.uint8), connectivity=8)
    length = statistics[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    area = statistics[:, cv2.CC_STAT_AREA]
    kept = (area >= _SPECK) & (length <= parameters.max_length_share * height)
    kept[0] = False
    if area[kept].sum() < least:
        return clean
    roughness = _roughness(grey, bright, sheet_end).ravel()
    kept &= np.bincount(labels.ravel(), weights=roughness, minlength=count) / area <= parameters.max_roughness
    return np.asarray(kept[labels]) if area[kept].sum() >= least else clean


def _black_end(grey: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Find the black ends of a sheet and the bright rim beside them."""
    import cv2

    solid = np.ones((_BLACK_END_SIZE, _BLACK_END_SIZE), dtype=np.uint8)
    dark = cv2.morphologyEx((grey < BLACK_LEVEL).astype(np.uint8), cv2.MORPH_OPEN, solid)
    return np.asarray(cv2.dilate(dark, np.ones((2 * _RIM + 1, 2 * _RIM + 1), dtype=np.uint8)) > 0)


def _roughness(grey: NDArray[np.uint8], bright: NDArray[np.bool_], sheet_end: NDArray[np.bool_]) -> NDArray[np.float32]:
    """Return the standard deviation of grey levels around each pixel, without bright blobs and black ends.

    Stains lie on a calm surface; saturated spots of a defect lie among rough texture.
    """
    import cv2

    halo = cv2.dilate(bright.astype(np.uint8), np.ones((2 * _HALO + 1, 2 * _HALO + 1), dtype=np.uint8)) > 0
    weight = (~halo & ~sheet_end).astype(np.float32)
    levels = grey * weight
    window = (_SURROUNDINGS, _SURROUNDINGS)
    total = np.maximum(cv2.boxFilter(weight, -1, window), 1e-6)
    mean = cv2.boxFilter(levels, -1, window) / total
    square = cv2.boxFilter(levels * grey, -1, window) / total
    return np.asarray(np.sqrt(np.maximum(square - mean**2, 0)), dtype=np.float32)
