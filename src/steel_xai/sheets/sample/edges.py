"""Black ends: where the strip is narrower than the picture."""

from dataclasses import dataclass

import numpy as np

from steel_xai.sheets.sample.fields import WIDTH, Image, smooth_line, smooth_noise, soft_step

BLACK_LEVEL = 2.5
MAX_SLANT = 15
"""How far a slanted edge departs from its middle column, at most, in pixels."""


@dataclass(frozen=True)
class Extent:
    """Columns of the picture: ``left`` to ``right`` (excluded)."""

    left: int = 0
    right: int = WIDTH

    @property
    def width(self) -> int:
        """Number of columns."""
        return self.right - self.left


@dataclass(frozen=True)
class BlackEnd:
    """A black end: the ``left`` or ``right`` side, and the columns it takes at mid-height."""

    side: str
    width: int


def usable_extent(end: BlackEnd | None) -> Extent:
    """Columns that show sheet at every height, whatever the slant of the edge, and a little off the rim."""
    if end is None:
        return Extent()
    margin = end.width + MAX_SLANT + 5
    return Extent(left=margin) if end.side == "left" else Extent(right=WIDTH - margin)


def black_end_width(rng: np.random.Generator, narrowest_sheet: int) -> int:
    """Draw a black end's width, 3 to 95 % of the picture, so that ``narrowest_sheet`` columns remain."""
    share = float(np.clip(rng.gamma(1.7, 0.15), 0.03, 0.95))
    return min(int(share * WIDTH), WIDTH - narrowest_sheet)


def draw_black_end(rng: np.random.Generator, sheet: Image, end: BlackEnd) -> None:
    """Blacken one end in place, with a slanted edge, a brighter rim and at times a speckled band beside it."""
    view = sheet if end.side == "left" else sheet[:, ::-1]
    height = sheet.shape[0]
    slant = np.clip(rng.normal(0, 5), 2 - MAX_SLANT, MAX_SLANT - 2)
    edge = end.width + slant * np.linspace(-1, 1, height) + 0.4 * smooth_line(rng, height, 3)
    reach = min(end.width + 130, WIDTH)
    start = max(end.width - 40, 0)
    distance = (np.arange(start, reach)[None, :] - edge[:, None]).astype(np.float32)

    rough = 1 + 0.3 * smooth_noise(rng, height, reach - start, 3, 1.5)
    rim_width = rng.uniform(5, 15)
    rim = np.exp(-(((distance - 0.5 * rim_width) / (0.5 * rim_width)) ** 2))
    shadow = np.exp(-np.clip(distance, 0, None) / rng.uniform(8, 40))
    band = np.exp(-((distance / rng.uniform(15, 70)) ** 2)) * (rng.random() < 0.4)
    speckle = soft_step(smooth_noise(rng, height, reach - start, 1.2, 0.8), 1, 1)
    gain = 1 + rng.uniform(0.1, 0.5) * rim * rough - rng.uniform(0.05, 0.4) * shadow
    gain += rng.uniform(0.2, 0.6) * band * speckle

    shown = np.clip(distance, 0, 1)
    view[:, start:reach] = shown * view[:, start:reach] * gain + (1 - shown) * BLACK_LEVEL
    view[:, :start] = BLACK_LEVEL
