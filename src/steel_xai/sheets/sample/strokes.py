"""Near-vertical strokes, which hairlines and scratches are made of."""

import numpy as np

from steel_xai.sheets.sample.fields import Image, smooth_line


def draw_stroke(sheet: Image, top: int, centres: Image, widths: Image | float, contrast: Image | float) -> None:
    """Darken or brighten a line in place.

    Args:
        sheet: ``[256, 1600]`` grey levels.
        top: First row of the line.
        centres: Column of the line's middle in each row, ``[height]``.
        widths: Width in pixels, one or ``[height]``.
        contrast: Relative change of brightness, one or ``[height]``; negative is darker.
    """
    first = max(int(centres.min() - np.max(widths)) - 1, 0)
    last = min(int(centres.max() + np.max(widths)) + 2, sheet.shape[1])
    columns = np.arange(first, last, dtype=np.float32)[None, :]
    half = np.broadcast_to(np.asarray(widths, dtype=np.float32) / 2, centres.shape)[:, None]
    cover = np.clip(half + 0.5 - np.abs(columns - centres[:, None]), 0, 1)
    gain = np.broadcast_to(np.asarray(contrast, dtype=np.float32), centres.shape)[:, None]
    sheet[top : top + len(centres), first:last] *= 1 + gain * cover


def wandering_line(rng: np.random.Generator, height: int, start: float, drift: float, wobble: float) -> Image:
    """Column of a line in each row, ``[height]``: straight from ``start`` by ``drift``, with a small wobble."""
    return (start + drift * np.linspace(0, 1, height) + wobble * smooth_line(rng, height, 12)).astype(np.float32)


def worn(rng: np.random.Generator, height: int, fade: float) -> Image:
    """Strength along a stroke, ``[height]``, about 1: rough, tapered, and fading by ``fade`` towards one end."""
    ramp = np.linspace(1, 1 - fade, height, dtype=np.float32)
    if rng.random() < 0.3:
        ramp = ramp[::-1]
    rough = 1 + 0.25 * smooth_line(rng, height, 2) + 0.2 * smooth_line(rng, height, 20)
    to_end = np.arange(height, 0, -1, dtype=np.float32) / (0.2 * height)
    from_start = np.arange(1, height + 1, dtype=np.float32) / 8
    taper = np.minimum(np.minimum(to_end, from_start), 1)
    return np.asarray(ramp * np.clip(rough, 0.2, 1.6) * taper, dtype=np.float32)
