"""Hand-drawn-like annotation: polygons with few corners and generous margins."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.sheets.sample.edges import Extent
from steel_xai.sheets.sample.fields import HEIGHT, WIDTH, Percentiles, size_between

Mask = NDArray[np.uint8]


@dataclass(frozen=True)
class Box:
    """A component's bounding box in raw pixels."""

    top: int
    left: int
    height: int
    width: int

    @property
    def place(self) -> tuple[slice, slice]:
        """Index of the box's pixels in a sheet."""
        return slice(self.top, self.top + self.height), slice(self.left, self.left + self.width)


@dataclass(frozen=True)
class BoxSizes:
    """5th, 50th and 95th percentiles of the boxes' widths and heights, and the correlation of their logarithms.

    Heights beyond the picture's are cut there: a 95th percentile above 256 says how many reach from top to bottom.
    """

    widths: Percentiles
    heights: Percentiles
    correlation: float


def place_box(
    rng: np.random.Generator, sizes: BoxSizes, extent: Extent, taken: Mask, around: float | None = None
) -> Box:
    """Draw a component's box in the extent, where few pixels are taken.

    What would reach past the top or the bottom is moved there, as where a picture cuts a longer strip.
    ``around`` is a favoured column; without it, every column is as likely.
    """
    common, other = rng.standard_normal(2)
    along = sizes.correlation * common + np.sqrt(1 - sizes.correlation**2) * other
    width = int(np.clip(size_between(sizes.widths, common), 6, 0.9 * extent.width))
    height = int(np.clip(size_between(sizes.heights, along), 8, HEIGHT))
    last = extent.right - width
    overhang = height // 3
    boxes = []
    for _ in range(6):
        left = rng.uniform(extent.left, last) if around is None else rng.normal(around, 130)
        top = rng.integers(-overhang, HEIGHT - height + overhang + 1)
        boxes.append(Box(int(np.clip(top, 0, HEIGHT - height)), int(np.clip(left, extent.left, last)), height, width))
    return min(boxes, key=lambda box: float(taken[box.place].mean()))


def quadrilateral(rng: np.random.Generator, box: Box, slant: float) -> Mask:
    """Fill a four-cornered outline of a box, ``[256, 1600]``; ``slant`` is its drift in pixels from top to bottom."""
    inner = max(box.width - abs(slant), 4)
    left = box.left + max(-slant, 0)
    bottom = box.top + box.height - 1
    shaken = rng.uniform(-0.1, 0.1, size=4) * inner
    corners = np.array(
        [
            (left + shaken[0], box.top),
            (left + inner + shaken[1], box.top),
            (left + inner + slant + shaken[2], bottom),
            (left + slant + shaken[3], bottom),
        ]
    )
    return _fill(corners)


def outline(rng: np.random.Generator, drawn: NDArray[np.bool_], margin: int, tolerance: float) -> Mask:
    """Fill polygons around drawn pixels, ``[256, 1600]``.

    The drawn pixels are widened by ``margin``; the outline is simplified to within ``tolerance`` pixels and its
    corners are shaken. Crumbs under a tenth of the largest part go without a polygon.
    """
    import cv2

    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * margin + 1, 2 * margin + 1))
    widened = cv2.dilate(drawn.astype(np.uint8), kernel)
    contours, _ = cv2.findContours(widened, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_SIMPLE)
    areas = [cv2.contourArea(contour) for contour in contours]
    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    for contour, area in zip(contours, areas, strict=True):
        corners = cv2.approxPolyDP(contour, tolerance, True)[:, 0].astype(float)
        if area >= 0.1 * max(areas) and len(corners) >= 3:
            mask |= _fill(corners + rng.normal(0, tolerance / 4, corners.shape))
    return mask


def _fill(corners: NDArray[np.float64]) -> Mask:
    import cv2

    mask = np.zeros((HEIGHT, WIDTH), dtype=np.uint8)
    cv2.fillPoly(mask, [np.round(corners).astype(np.int32)], 1)
    return mask
