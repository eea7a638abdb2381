"""Class 3: vertical scratches and dark bundles, bright splashes, cross-hatched dark burns, grainy smears."""

from collections.abc import Callable

import numpy as np

from steel_xai.sheets.sample.edges import Extent
from steel_xai.sheets.sample.fields import Image, smooth_line, smooth_noise, soft_step
from steel_xai.sheets.sample.masks import BoxSizes, Mask, outline, place_box, quadrilateral
from steel_xai.sheets.sample.strokes import draw_stroke, wandering_line, worn

BUNDLE_SIZES = BoxSizes(widths=(14, 25, 75), heights=(75, 250, 800), correlation=0.1)
SPLASH_SIZES = BoxSizes(widths=(18, 60, 330), heights=(20, 60, 160), correlation=0.4)
BURN_SIZES = BoxSizes(widths=(120, 340, 720), heights=(90, 200, 330), correlation=0.3)
SMEAR_SIZES = BoxSizes(widths=(14, 24, 45), heights=(30, 65, 160), correlation=0.3)


def draw_scratches(rng: np.random.Generator, sheet: Image, extent: Extent, taken: Mask) -> Mask:
    """Draw one of the four looks of class 3."""
    look = rng.choice(["bundles", "splashes", "burn", "smears"], p=[0.56, 0.18, 0.18, 0.08])
    if look == "bundles":
        return _draw_bundles(rng, sheet, extent, taken)
    texture, sizes, count = {
        "splashes": (_splash, SPLASH_SIZES, int(rng.integers(1, 4))),
        "burn": (_burn, BURN_SIZES, 1),
        "smears": (_smear, SMEAR_SIZES, int(rng.integers(2, 6))),
    }[look]
    return _draw_patches(rng, sheet, extent, taken, texture, sizes, count)


def _draw_bundles(rng: np.random.Generator, sheet: Image, extent: Extent, taken: Mask) -> Mask:
    mask = np.zeros(sheet.shape, dtype=np.uint8)
    lean = rng.normal(0, 0.02)
    for _ in range(min(int(np.exp(rng.normal(0.82, 0.75))) + 1, 14)):
        box = place_box(rng, BUNDLE_SIZES, extent, taken | mask)
        slant = float(np.clip(lean * box.height, -0.4 * box.width, 0.4 * box.width))
        free = box.width - abs(slant)
        fade = rng.uniform(0, 0.85)
        for _ in range(1 + rng.poisson(free / 18)):
            start = box.left + max(-slant, 0) + free * rng.uniform(0.2, 0.8)
            height = int(box.height * rng.uniform(0.7, 1))
            centres = wandering_line(rng, height, start, slant * height / box.height, 0.3)
            width = np.asarray(rng.uniform(1.5, 5) * (1 + 0.15 * smooth_line(rng, height, 8)), dtype=np.float32)
            strength = np.clip(rng.uniform(0.3, 0.65) * worn(rng, height, fade), 0, 0.75)
            draw_stroke(sheet, box.top, centres, width, -strength)
            if rng.random() < 0.6:
                beside = np.asarray(centres + width / 2 + 1, dtype=np.float32)
                draw_stroke(sheet, box.top, beside, 2, rng.uniform(0.7, 1.6) * strength)
        mask |= quadrilateral(rng, box, slant)
    return mask


def _draw_patches(
    rng: np.random.Generator,
    sheet: Image,
    extent: Extent,
    taken: Mask,
    texture: Callable[[np.random.Generator, int, int], Image],
    sizes: BoxSizes,
    count: int,
) -> Mask:
    """Draw textured patches and outline each."""
    mask = np.zeros(sheet.shape, dtype=np.uint8)
    strength = rng.uniform(0.8, 1.3)
    for _ in range(count):
        box = place_box(rng, sizes, extent, taken | mask)
        window = _window(rng, box.height, box.width)
        pattern = 1 + strength * texture(rng, box.height, box.width) * window
        surface = sheet[box.place]
        # A bright fleck saturates below the white of a stain.
        sheet[box.place] = np.minimum(surface * np.clip(pattern, 0.25, 3), np.maximum(surface, 235))
        if min(box.width, box.height) < 40:
            mask |= quadrilateral(rng, box, rng.normal(0, 0.1) * box.width)
        else:
            drawn = np.zeros(sheet.shape, dtype=bool)
            drawn[box.place] = window > 0.3
            mask |= outline(rng, drawn, margin=3, tolerance=8)
    return mask


def _window(rng: np.random.Generator, height: int, width: int) -> Image:
    """Where in its box a texture shows, 0 to 1: a ragged region with soft sides."""
    y = np.linspace(-1, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-1, 1, width, dtype=np.float32)[None, :]
    inner = 1 - np.maximum(np.abs(x), np.abs(y)) ** 4
    field = 1 - np.hypot(x, y) ** 3 + 0.4 * smooth_noise(rng, height, width, 0.15 * height, 0.15 * width)
    field += 0.15 * smooth_noise(rng, height, width, 8, 1.5)
    return soft_step(np.asarray(np.minimum(field, 2 * inner), dtype=np.float32), 0.25, 0.4)


def _splash(rng: np.random.Generator, height: int, width: int) -> Image:
    """Bright flecks drawn out in one direction, with dark ones between."""
    sigma_y, sigma_x = (1, 5) if rng.random() < 0.4 else (4, 1.1)
    flecks = smooth_noise(rng, height, width, sigma_y, sigma_x)
    clumps = smooth_noise(rng, height, width, 12, 16)
    bright = soft_step(flecks + 0.7 * clumps, 1.1, 0.5)
    dark = soft_step(0.4 * clumps - flecks, 1.2, 0.5)
    return np.asarray(rng.uniform(0.9, 1.8) * bright - 0.4 * dark, dtype=np.float32)


def _burn(rng: np.random.Generator, height: int, width: int) -> Image:
    """Dark cross-hatching in clumps: vertical strokes over ripple, with brighter metal between."""
    strokes = smooth_noise(rng, height, width, 25, 2) + 0.4 * smooth_noise(rng, height, width, 4, 1)
    y = np.arange(height, dtype=np.float32)[:, None]
    ripple = np.sin(2 * np.pi * y / rng.uniform(5, 9) + 3 * smooth_noise(rng, height, width, 12, 12))
    hatching = rng.uniform(0.1, 0.5) * ripple * smooth_noise(rng, height, width, 30, 20)
    clumps = smooth_noise(rng, height, width, 30, 18)
    dark = soft_step(strokes + hatching + rng.uniform(0.8, 1.5) * clumps, rng.uniform(1, 1.7), 0.6)
    bright = soft_step(smooth_noise(rng, height, width, 6, 1.6), 1.2, 0.6)
    return np.asarray(0.08 + 0.4 * bright - rng.uniform(0.4, 0.65) * dark, dtype=np.float32)


def _smear(rng: np.random.Generator, height: int, width: int) -> Image:
    """Grainy dark smear with bright grains."""
    grains = smooth_noise(rng, height, width, 4, 1.3) + 0.7 * smooth_noise(rng, height, width, 14, 3)
    return np.asarray(0.7 * soft_step(grains, 1.4, 0.5) - 0.45 * soft_step(-grains, 0.3, 0.8), dtype=np.float32)
