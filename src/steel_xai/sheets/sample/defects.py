"""Classes 1 and 2 (pits, hairlines), and which function draws which class.

The sizes here and in the modules of classes 3 and 4 are those of the component boxes of the 7,095 real masks.
"""

from collections.abc import Callable

import numpy as np

from steel_xai.sheets.sample.edges import Extent
from steel_xai.sheets.sample.fields import WIDTH, Image, smooth_noise, soft_step
from steel_xai.sheets.sample.flakes import draw_flakes
from steel_xai.sheets.sample.masks import BoxSizes, Mask, place_box, quadrilateral
from steel_xai.sheets.sample.scratches import draw_scratches
from steel_xai.sheets.sample.strokes import draw_stroke, wandering_line, worn

PIT_SIZES = BoxSizes(widths=(17, 26, 51), heights=(24, 44, 157), correlation=0.38)
HAIRLINE_SIZES = BoxSizes(widths=(10, 18, 32), heights=(75, 165, 280), correlation=0.52)


def draw_pits(rng: np.random.Generator, sheet: Image, extent: Extent, taken: Mask) -> Mask:
    """Class 1: small pits with bright and dark comma tails, often in a vertical drip; mostly left of the middle."""
    mask = np.zeros(sheet.shape, dtype=np.uint8)
    favoured = rng.uniform(200, 620) if rng.random() < 0.6 else rng.uniform(0, WIDTH)
    strength = rng.uniform(0.85, 1.5)
    for _ in range(min(int(np.exp(rng.normal(0.5, 0.95))) + 1, 20)):
        box = place_box(rng, PIT_SIZES, extent, taken | mask, around=favoured)
        sheet[box.place] *= np.clip(1 + strength * _pit(rng, box.height, box.width), 0.3, 2.5)
        mask |= quadrilateral(rng, box, rng.normal(0, 0.12) * box.width)
    return mask


def _pit(rng: np.random.Generator, height: int, width: int) -> Image:
    """Relative brightness of one component: a pit with its tail, or several in a drip if it is tall."""
    y = np.arange(height, dtype=np.float32)[:, None]
    x = np.arange(width, dtype=np.float32)[None, :]
    ragged = 0.4 * smooth_noise(rng, height, width, 2, 1.3)
    pattern = np.zeros((height, width), dtype=np.float32)
    for _ in range(max(1, round(height / 50 + rng.uniform(-0.2, 1)))):
        cy, cx = rng.uniform(0.25, 0.7) * height, rng.uniform(0.4, 0.6) * width
        ry, rx = rng.uniform(3, 9), rng.uniform(2, 5)
        side, below = rng.choice([-0.9, 0.9]) * rx, rng.uniform(-0.4, 0.9) * ry
        core = soft_step(1 - np.hypot((y - cy) / ry, (x - cx) / rx) + ragged, 0, 0.4)
        glint = soft_step(1 - np.hypot((y - cy - below) / ry, (x - cx - side) / (0.8 * rx)) + ragged, 0, 0.4)
        along = (y - cy) / (rng.uniform(0.3, 0.8) * (height - cy))
        tail = soft_step(1.2 * (1 - along) - np.abs(x - cx - 0.6 * side * along) / 1.6 + ragged, 0.2, 0.6)
        tail *= (along > 0) & (along < 1)
        pattern += rng.uniform(0.45, 1.05) * glint - rng.uniform(0.3, 0.6) * core + rng.choice([-0.3, 0.4]) * tail
    return pattern


def draw_hairlines(rng: np.random.Generator, sheet: Image, extent: Extent, taken: Mask) -> Mask:
    """Class 2: a dark vertical hairline of 1 to 4 px, at times two. The extent decides how near to an edge."""
    mask = np.zeros(sheet.shape, dtype=np.uint8)
    for _ in range(1 + int(rng.random() < 0.25)):
        box = place_box(rng, HAIRLINE_SIZES, extent, taken | mask)
        slant = rng.uniform(-0.4, 0.4) * box.width
        start = box.left + box.width / 2 - slant / 2
        for _ in range(1 + int(rng.random() < 0.25)):
            height = int(box.height * rng.uniform(0.85, 1))
            centres = wandering_line(rng, height, start + rng.normal(0, 0.08) * box.width, slant, 0.7)
            strength = np.clip(rng.uniform(0.3, 0.55) * worn(rng, height, rng.uniform(0, 0.35)), 0, 0.8)
            draw_stroke(sheet, box.top, centres, rng.uniform(1.7, 4.4), -strength)
            if rng.random() < 0.7:
                draw_stroke(sheet, box.top, centres + rng.choice([-2.8, 2.8]), 1.8, rng.uniform(0.7, 1.4) * strength)
        mask |= quadrilateral(rng, box, slant)
    return mask


DRAW: dict[int, Callable[[np.random.Generator, Image, Extent, Mask], Mask]] = {
    1: draw_pits,
    2: draw_hairlines,
    3: draw_scratches,
    4: draw_flakes,
}
"""How each class is drawn: paints on the sheet ``[256, 1600]`` in place, within the extent and off the taken pixels
where it can, and returns the hand-drawn mask."""
