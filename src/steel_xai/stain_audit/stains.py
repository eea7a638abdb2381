"""White stains that can be moved: cut out of stained sheets or drawn, pasted onto others, and painted over."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.localisation import near_black_edge
from steel_xai.parameters import StainDetectionParameters
from steel_xai.sheets.grey import grey_levels
from steel_xai.white_stains import detect_white_stains

# Shares of the sheet's height.
_JOIN = 3 / 16
"""Blobs are one cluster if less than twice this is between them."""
_REACH = 1 / 2
"""How far from what the detector found fainter chalk is looked for."""
_BLACK_EDGE = 1 / 8
"""How far from the black end: its rim is bright too."""

_FAINTER_CONTRAST, _FAINTER_PEAK = 0.5, 0.8
"""Shares of the detector's contrast that fainter chalk must have everywhere, and of its brightness somewhere."""
_INPAINT_RADIUS = 3
_STAIN_LEVEL = 75
"""Percentile of the grey levels of found pixels that counts as chalk seen without steel shining through."""
_FAINTEST, _FAINTEST_BLOB = 0.1, 0.6
"""Opacity below which a pixel is grain of the sheet, and a blob, by its most opaque pixel, a bright streak."""

_DRAWN_HEIGHT, _DRAWN_WIDTH = 256, 512
"""Raw pixels of the canvas on which a cluster is drawn; its height stands for the sheet's."""

Sheet = NDArray[np.uint8]
Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Stain:
    """A cluster of stains: ``pixels`` uint8 [C, a, b] and ``opacity`` float32 [a, b], 0 to 1.

    ``at_top`` and ``at_bottom`` tell that a border of the sheet cut it, so that it fits nowhere but there.
    """

    pixels: Sheet
    opacity: NDArray[np.float32]
    at_top: bool
    at_bottom: bool

    @property
    def shape(self) -> Mask:
        """Pixels that it changes at all, [a, b]."""
        return np.asarray(self.opacity > 0)

    @property
    def area(self) -> int:
        """Number of pixels that it covers by half or more."""
        return int((self.opacity >= 0.5).sum())


def cut_stains(
    sheets: Sheet, rows: Sequence[int] | NDArray[np.integer], parameters: StainDetectionParameters
) -> list[Stain]:
    """Cut the clusters of stains out of sheets, with opacity instead of hard edges.

    Opacity is ``(I - B) / (S - B)`` of the grey levels: I the sheet, S the stain, and B the steel below it, which is
    inpainted. Clusters smaller than the detector's ``min_area``, or cut by the left or right border, are left out.

    Args:
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        rows: Of the sheets to look at; those without a stain yield nothing.
        parameters: Of the detector.
    """
    stains = []
    for row in rows:
        sheet = np.asarray(sheets[row])
        found = detect_white_stains(sheet[None], parameters)[0]
        if found.any():
            stains += _cut(sheet, found, parameters)
    return stains


def drawn_stains(n: int, size: tuple[int, int], n_channels: int, seed: int) -> list[Stain]:
    """Draw n clusters for sheets of ``size`` (h, w), as the synthetic sample's are drawn: for sources without any."""
    import cv2

    from steel_xai.sheets.sample.edges import Extent
    from steel_xai.sheets.sample.stains import draw_stains

    height, width = size
    factor = height / _DRAWN_HEIGHT
    target = (min(width, round(_DRAWN_WIDTH * factor)), height)
    stains = []
    for number in range(n):
        rng = np.random.default_rng([seed, number])
        canvas = np.zeros((_DRAWN_HEIGHT, _DRAWN_WIDTH), np.float32)
        draw_stains(rng, canvas, Extent(right=_DRAWN_WIDTH), np.zeros(canvas.shape, np.uint8))
        level = min(float(canvas.max()), 255.0)
        opacity = np.asarray(cv2.resize(canvas / canvas.max(), target, interpolation=cv2.INTER_AREA), dtype=np.float32)
        opacity[opacity < _FAINTEST] = 0
        pixels = np.full((n_channels, *opacity.shape), round(level), np.uint8)
        stains.append(_crop(pixels, opacity, opacity > 0))
    return stains


def whole_stains(sheet: Sheet, found: Mask, parameters: StainDetectionParameters) -> Mask:
    """Widen what the detector found on a sheet [C, h, w] to all chalk nearby and its soft rim, [h, w].

    The detector asks for saturated pixels, so that it is sure; next to those it finds, fainter ones are chalk too.
    """
    import cv2

    if not found.any():
        return found
    height = found.shape[0]
    grey = grey_levels(sheet)
    window = np.ones(((height // 3) | 1,) * 2, np.uint8)
    raised = cv2.morphologyEx(grey, cv2.MORPH_TOPHAT, window) >= _FAINTER_CONTRAST * parameters.min_contrast
    near = widened(found, _REACH * height) & ~near_black_edge(grey[None], _BLACK_EDGE * height)[0]
    count, labels, statistics, _ = cv2.connectedComponentsWithStats((raised & near | found).astype(np.uint8))
    # A bright streak that passes a stain is longer than any stain.
    length = statistics[:, [cv2.CC_STAT_WIDTH, cv2.CC_STAT_HEIGHT]].max(axis=1)
    peak = np.zeros(count, np.uint8)
    np.maximum.at(peak, labels, grey)
    kept = (length <= parameters.max_length_share * height) & (peak >= _FAINTER_PEAK * parameters.min_brightness)
    kept[0] = False
    return np.asarray(cv2.dilate((kept[labels] | found).astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)


def clusters(mask: Mask) -> list[Mask]:
    """Part the pixels of a mask [h, w] into clusters that lie apart."""
    import cv2

    count, labels = cv2.connectedComponents(widened(mask, _JOIN * mask.shape[0]).astype(np.uint8))
    return [np.asarray(mask & (labels == number)) for number in range(1, count)]


def paste(sheet: Sheet, pixels: Sheet, opacity: NDArray[np.float32], top: int, left: int) -> None:
    """Blend pixels [C, a, b] into a sheet [C, h, w] in place: ``(1 - opacity) sheet + opacity pixels``."""
    height, width = opacity.shape
    target = sheet[:, top : top + height, left : left + width]
    target[:] = np.rint(target + opacity * (pixels.astype(np.float32) - target)).astype(np.uint8)


def paint_over(sheet: Sheet, mask: Mask) -> Sheet:
    """Fill a mask [h, w] of a sheet [C, h, w] from its surroundings (Telea 2004); returns a new sheet."""
    import cv2

    hole = mask.astype(np.uint8)
    channels = [
        cv2.inpaint(np.ascontiguousarray(channel), hole, _INPAINT_RADIUS, cv2.INPAINT_TELEA) for channel in sheet
    ]
    return np.stack(channels).astype(np.uint8)


def widened(mask: Mask, pixels: float) -> Mask:
    """Grow a mask [h, w] by a number of pixels, rounded and at least 1, to all sides."""
    import cv2

    side = 2 * max(1, round(pixels)) + 1
    return np.asarray(cv2.dilate(mask.astype(np.uint8), cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))) > 0)


def _cut(sheet: Sheet, found: Mask, parameters: StainDetectionParameters) -> list[Stain]:
    whole = whole_stains(sheet, found, parameters)
    steel = grey_levels(paint_over(sheet, widened(whole, 1))).astype(np.float32)
    level = float(np.percentile(grey_levels(sheet)[found], _STAIN_LEVEL))
    opacity = np.clip((grey_levels(sheet) - steel) / np.maximum(level - steel, 1), 0, 1) * whole
    opacity = _without_streaks(opacity)
    colour = np.percentile(sheet[:, found], _STAIN_LEVEL, axis=1).round().astype(np.uint8)
    # A pixel that steel shines through has the stain's colour, one that is all chalk keeps its own.
    pixels = np.maximum(sheet, colour[:, None, None])
    stains = []
    for cluster in clusters(np.asarray(opacity > 0)):
        if not cluster[:, [0, -1]].any():
            stains.append(_crop(pixels, np.where(cluster, opacity, 0).astype(np.float32), cluster))
    return [stain for stain in stains if stain.area >= parameters.min_area]


def _without_streaks(opacity: NDArray[np.floating]) -> NDArray[np.floating]:
    """Take the opacity off what is no chalk, [h, w]."""
    import cv2

    chalk = opacity >= _FAINTEST
    count, labels = cv2.connectedComponents(chalk.astype(np.uint8))
    peak = np.zeros(count)
    np.maximum.at(peak, np.asarray(labels), opacity)
    return np.where(chalk & (peak >= _FAINTEST_BLOB)[labels], opacity, 0)


def _crop(pixels: Sheet, opacity: NDArray[np.float32], shape: Mask) -> Stain:
    rows, columns = np.flatnonzero(shape.any(axis=1)), np.flatnonzero(shape.any(axis=0))
    box = (slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1))
    return Stain(
        np.array(pixels[:, *box]), np.array(opacity[box]), bool(rows[0] == 0), bool(rows[-1] == len(shape) - 1)
    )
