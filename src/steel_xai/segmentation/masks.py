"""Predicted labels of pixels after their prediction: components too small to be a defect are dropped."""

from collections.abc import Iterator, Sequence

import numpy as np


def component_areas(mask: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the 8-connected components of a mask [h, w].

    Returns:
        The component of each pixel, int [h, w], 0 outside of the mask; and the pixels of each, int [n + 1], those
        outside of the mask first.
    """
    import cv2

    _, component, stats, _ = cv2.connectedComponentsWithStats(np.ascontiguousarray(mask, np.uint8), connectivity=8)
    return component, stats[:, cv2.CC_STAT_AREA]


def drop_small(labels: np.ndarray, minimum_areas: Sequence[int]) -> np.ndarray:
    """Make background of every component below the minimum area of its class.

    Args:
        labels: uint8 [n, h, w], 0 the background; not changed.
        minimum_areas: In pixels, one for each class 1..K.
    """
    kept = labels.copy()
    for sheet in kept:
        for number, minimum in _present(sheet, minimum_areas):
            component, areas = component_areas(sheet == number)
            small = areas < minimum
            small[0] = False
            sheet[small[component]] = 0
    return kept


def _present(sheet: np.ndarray, minimum_areas: Sequence[int]) -> Iterator[tuple[int, int]]:
    """List the classes of a sheet that have a minimum area above one pixel."""
    for number, minimum in enumerate(minimum_areas, start=1):
        if minimum > 1 and (sheet == number).any():
            yield number, minimum
