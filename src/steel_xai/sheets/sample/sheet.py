"""One strip: from its plan to pictures, masks and planted truth."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.parameters import BlackEndRate
from steel_xai.sheets.sample.background import draw_background, draw_grain
from steel_xai.sheets.sample.defects import DRAW
from steel_xai.sheets.sample.edges import BlackEnd, Extent, black_end_width, draw_black_end, usable_extent
from steel_xai.sheets.sample.fields import HEIGHT, WIDTH, Image
from steel_xai.sheets.sample.masks import Mask
from steel_xai.sheets.sample.plan import Strip
from steel_xai.sheets.sample.stains import draw_stains

EDGE_DISTANCE = (20, 90)
"""Where class 2 lies when it lies near the black edge, in pixels from it."""
FRAME_SHIFTS = (8, 48)
"""By how many pixels a strip moves under the camera between two frames."""


@dataclass(frozen=True)
class Picture:
    """One frame: grey levels uint8 ``[256, 1600]``, masks uint8 ``[4, 256, 1600]`` and what was planted."""

    grey: NDArray[np.uint8]
    masks: Mask
    stain_area: int
    black_end: BlackEnd | None
    class_2_near_edge: bool


@dataclass(frozen=True)
class _Surface:
    """A strip without grain. All arrays are as tall as the strip, which is taller than a frame if there are two."""

    sheet: Image
    masks: Mask
    stain: Mask
    black_end: BlackEnd | None
    class_2_near_edge: bool


def draw_strip(seed: int, strip: Strip, black_end_rate: BlackEndRate, class_2_edge_rate: float) -> list[Picture]:
    """Draw all frames of a strip. The result depends on the seed and the strip alone."""
    rng = np.random.default_rng([seed, 1, strip.number])
    surface = _draw_surface(rng, strip, black_end_rate, class_2_edge_rate)
    grain = float(np.clip(np.exp(rng.normal(np.log(5.0), 0.33)), 2, 9))
    first = _photograph(rng, surface, grain, shift=0)
    if strip.frames == 1:
        return [first]
    return [first, _photograph(rng, surface, grain, _frame_shift(rng, surface.masks))]


def _draw_surface(
    rng: np.random.Generator, strip: Strip, black_end_rate: BlackEndRate, class_2_edge_rate: float
) -> _Surface:
    height = HEIGHT if strip.frames == 1 else HEIGHT + FRAME_SHIFTS[1]
    sheet = draw_background(rng, height)
    near_edge = 2 in strip.classes and bool(rng.random() < class_2_edge_rate)
    end = _plan_black_end(rng, strip.classes, black_end_rate, certain=near_edge)

    # Defects lie within the first frame; the rest of the strip is what the second one adds.
    frame = sheet[:HEIGHT]
    room = usable_extent(end)
    masks = np.zeros((len(DRAW), height, WIDTH), dtype=np.uint8)
    for k in strip.classes:
        place = _edge_strip(end) if k == 2 and near_edge and end else room
        taken = masks[:, :HEIGHT].max(axis=0)
        drawn = DRAW[k](rng, frame, place, taken)
        drawn[:, : room.left] = drawn[:, room.right :] = 0
        masks[k - 1, :HEIGHT] = drawn * (1 - taken)
    stain = np.zeros((height, WIDTH), dtype=np.uint8)
    if strip.stained:
        stain[:HEIGHT] = draw_stains(rng, frame, room, masks[:, :HEIGHT].max(axis=0))
    if end:
        draw_black_end(rng, sheet, end)
    return _Surface(sheet, masks, stain, end, near_edge)


def _plan_black_end(
    rng: np.random.Generator, classes: tuple[int, ...], rate: BlackEndRate, certain: bool
) -> BlackEnd | None:
    """Draw whether a sheet has a black end, at which side and how wide. It leaves room for the sheet's defects."""
    total = rate.left + rate.right
    if not certain and rng.random() >= total:
        return None
    left_share = rate.left / total if total else 0.5
    narrowest = WIDTH // 20 if not classes else 250 if max(classes) <= 2 else 550
    return BlackEnd("left" if rng.random() < left_share else "right", black_end_width(rng, narrowest))


def _edge_strip(end: BlackEnd) -> Extent:
    near, far = (end.width + distance for distance in EDGE_DISTANCE)
    return Extent(near, far) if end.side == "left" else Extent(WIDTH - far, WIDTH - near)


def _photograph(rng: np.random.Generator, surface: _Surface, grain: float, shift: int) -> Picture:
    rows = slice(shift, shift + HEIGHT)
    exposure = np.float32(rng.uniform(0.97, 1.03))
    grey = np.rint(draw_grain(rng, surface.sheet[rows] * exposure, grain))
    return Picture(
        grey=np.clip(grey, 0, 255).astype(np.uint8),
        masks=surface.masks[:, rows],
        stain_area=int(surface.stain[rows].sum()),
        black_end=surface.black_end,
        class_2_near_edge=surface.class_2_near_edge,
    )


def _frame_shift(rng: np.random.Generator, masks: Mask) -> int:
    """How far the strip moved: less where a class would leave the picture."""
    shift = int(rng.integers(*FRAME_SHIFTS, endpoint=True))
    total = masks.sum(axis=(1, 2))
    while (masks[:, shift:].sum(axis=(1, 2)) < 0.5 * total).any():
        shift //= 2
    return shift
