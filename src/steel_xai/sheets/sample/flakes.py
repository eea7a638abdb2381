"""Class 4: irregular flakes and peeled patches, lit from above like a relief."""

import numpy as np
from numpy.typing import NDArray

from steel_xai.sheets.sample.edges import Extent
from steel_xai.sheets.sample.fields import Image, smooth_noise, soft_step
from steel_xai.sheets.sample.masks import BoxSizes, Mask, outline, place_box

SIZES = BoxSizes(widths=(29, 126, 462), heights=(25, 99, 250), correlation=0.72)


def draw_flakes(rng: np.random.Generator, sheet: Image, extent: Extent, taken: Mask) -> Mask:
    """Draw one to some flakes with a jagged bright and dark rim and a rough interior."""
    mask = np.zeros(sheet.shape, dtype=np.uint8)
    strength = rng.uniform(0.7, 1.3)
    for _ in range(min(int(np.exp(rng.normal(0.25, 0.85))) + 1, 14)):
        box = place_box(rng, SIZES, extent, taken | mask)
        drawn = np.zeros(sheet.shape, dtype=bool)
        drawn[box.place] = _draw_flake(rng, sheet[box.place], strength)
        mask |= outline(rng, drawn, margin=int(rng.integers(3, 9)), tolerance=rng.uniform(6, 11))
    return mask


def _draw_flake(rng: np.random.Generator, surface: Image, strength: float) -> NDArray[np.bool_]:
    import cv2

    height, width = surface.shape
    inside = _shape(rng, height, width)
    lumps = smooth_noise(rng, height, width, rng.uniform(3, 9), rng.uniform(4, 16))
    fine = smooth_noise(rng, height, width, 1.3, 1.6)
    relief = inside * (rng.uniform(1, 3.5) + rng.uniform(0.4, 1.6) * lumps + 0.25 * fine)
    if rng.random() < 0.35:
        # Peeled layers: wavy terraces across the strip.
        y = np.arange(height, dtype=np.float32)[:, None]
        phase = 2 * np.pi * y / rng.uniform(18, 45) + 2.5 * smooth_noise(rng, height, width, 14, 35)
        relief += 1.6 * inside * np.tanh(3 * np.sin(phase))
    slope_y = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=0.25)
    slope_x = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=0.25)
    # A rim is nowhere equally sharp all around.
    sharpness = 0.75 + 0.35 * smooth_noise(rng, height, width, 12, 18)
    light = (slope_y + 0.6 * rng.choice([-1, 1]) * slope_x) * sharpness

    winding = np.abs(smooth_noise(rng, height, width, rng.uniform(8, 20), rng.uniform(20, 50)))
    cracks = soft_step(-winding, -0.05, 0.06)
    patches = smooth_noise(rng, height, width, 10, 12)
    albedo = rng.normal(-0.04, 0.1) + 0.07 * patches + 0.05 * fine - rng.uniform(0, 0.5) * cracks
    # A flake hides most of the streaks below it.
    surface += 0.7 * inside * (cv2.GaussianBlur(surface, (0, 0), 15) - surface)
    pattern = strength * (0.38 * np.clip(light, -1.5, 2.2) + inside * albedo)
    surface *= np.asarray(np.clip(1 + pattern, 0.2, 2.4), dtype=np.float32)
    if rng.random() < 0.12:
        bare = inside * soft_step(patches + 0.5 * fine, 1.5, 0.3)
        surface += bare * np.maximum(rng.uniform(180, 250) - surface, 0)
    return np.asarray(inside > 0.5)


def _shape(rng: np.random.Generator, height: int, width: int) -> Image:
    """Where the flake is in its box, 0 to 1: a jagged region that covers a good half of it."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    # The frame that keeps the flake in its box is warped, so that no flake has a straight side.
    warp = 0.07 * smooth_noise(rng, height, width, 0.1 * height + 2, 0.1 * width + 2)
    inner = 1 - (1.15 * np.maximum(np.abs(x), np.abs(y)) + warp) ** 5
    field = 1 - np.hypot(x + rng.normal(0, 0.3) * y, y) ** 2
    field += rng.uniform(0.25, 0.5) * smooth_noise(rng, height, width, 0.17 * height, 0.13 * width)
    field += 0.1 * smooth_noise(rng, height, width, 3, 4)
    field = np.minimum(field, 2.5 * inner)
    level = max(float(np.quantile(field, 1 - rng.uniform(0.5, 0.75))), 0.05)
    return soft_step(np.asarray(field, dtype=np.float32), level, 0.08)
