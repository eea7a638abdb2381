"""White stains: saturated chalk-like drops, rings and strokes in a ragged cluster."""

import numpy as np
from numpy.typing import NDArray

from steel_xai.sheets.sample.edges import Extent
from steel_xai.sheets.sample.fields import Image, smooth_noise, soft_step


def draw_stains(rng: np.random.Generator, sheet: Image, extent: Extent, taken: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Paint one cluster of white stains onto the sheet, in place, off the ``taken`` pixels.

    Returns the stained pixels, uint8 of the sheet's shape, 0 and 1.
    """
    chalk = np.zeros_like(sheet)
    n_rows = sheet.shape[0]
    spread = min(rng.uniform(30, 110), extent.width / 6)
    centre = _clear_column(rng, extent, taken, int(2 * spread) + 30)
    for _ in range(rng.integers(5, 15)):
        height, width = int(rng.uniform(22, 90)), int(rng.uniform(16, 50))
        left = int(np.clip(rng.normal(centre, spread), extent.left + 4, extent.right - width - 4))
        top = int(rng.integers(-8, n_rows - height + 8))
        rows = slice(max(top, 0), min(top + height, n_rows))
        blob = _blob(rng, height, width)[rows.start - top : rows.stop - top]
        target = chalk[rows, left : left + width]
        np.maximum(target, blob, out=target)
    chalk *= 1 - taken
    sheet += chalk * (rng.uniform(238, 256) - sheet)
    return (chalk > 0.5).astype(np.uint8)


def _clear_column(rng: np.random.Generator, extent: Extent, taken: NDArray[np.uint8], reach: int) -> float:
    """Of a few random columns, the one with the fewest taken pixels around it."""
    candidates = rng.uniform(extent.left + 0.1 * extent.width, extent.right - 0.1 * extent.width, size=8).tolist()
    load = taken.sum(axis=0)
    return float(min(candidates, key=lambda x: float(load[max(int(x) - reach, 0) : int(x) + reach].sum())))


def _blob(rng: np.random.Generator, height: int, width: int) -> Image:
    """Opacity ``[height, width]`` of one ragged drop, ring or stroke, with loose grains around it."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    kind = rng.choice(["ring", "drop", "stroke"], p=[0.3, 0.4, 0.3])
    head = rng.uniform(-0.4, 0.4)
    if kind == "ring":
        field = 0.25 - np.abs(np.hypot(x, y) - 0.55) + 0.4 * (y > head) * (np.hypot(x, y) < 0.6)
    elif kind == "drop":
        field = 0.8 - np.abs(x) / (0.3 + 0.4 * np.exp(-((y - head) ** 2) / 0.1)) - 0.5 * y**2
    else:
        field = 0.5 - 2.2 * np.abs(x - head * y) - 0.3 * y**2
    ragged = 0.3 * smooth_noise(rng, height, width, 5, 2.5) + 0.2 * smooth_noise(rng, height, width, 1.2, 1)
    inside = 1 - np.maximum(np.abs(x), np.abs(y)) ** 4
    grains = 0.5 * soft_step(smooth_noise(rng, height, width, 1, 0.8), 2, 0.5) * inside
    solid = soft_step(np.asarray(field + ragged, dtype=np.float32) - 2 * (1 - inside), 0.15, 0.2)
    return np.asarray(np.maximum(solid, grains), dtype=np.float32)
