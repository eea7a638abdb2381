"""Sheets and maps as labelled strips, one above the other: what the figures of attribution maps are made of."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any, NamedTuple

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patheffects import withStroke
from numpy.typing import NDArray

from steel_xai.plots.style import GREY

EXCITES, INHIBITS = "#CA0020", "#0571B0"
"""Red and blue of a scale that people with any colour vision tell apart (ColorBrewer's RdBu)."""

FULL_SCALE = 99.5
"""Percentile of the pixels that has full colour, because single pixels of a gradient would leave the rest pale."""

_OPACITY = 0.85

_FADED = 0.5
"""Grey level of black under a map: on the black end itself dark red would not be seen."""

_LABEL, _GAP, _HEADING, _LINE, _TOP, _BOTTOM = 1.25, 0.05, 0.3, 0.14, 0.62, 0.62
"""Inches: width of the strips' labels; gap between strips; height of a section's heading, of a caption's line, of what
is above all sheets, and of what is below."""

_LETTER = 0.054
"""Inches that a letter of a caption takes at most, on average."""

Outline = tuple[NDArray[np.bool_], str]


class Strip(NamedTuple):
    """One picture ``[h, w, 3]`` with the outlines of masks in their colours, labelled and noted on its left."""

    label: str
    picture: NDArray[np.float64]
    outlines: Sequence[Outline] = ()
    bold: bool = False
    note: str = ""


class Block(NamedTuple):
    """The strips of one sheet."""

    caption: str
    strips: list[Strip]


def draw_strips(sections: Sequence[tuple[str, list[Block]]], heading: str, about: str) -> Figure:
    """Lay out the blocks of each named section in columns, sections one below the other.

    Room is left below for `scale_bar` and `outline_legend`. All lengths are inches from the upper left corner.
    """
    pictures = [strip.picture for _, blocks in sections for block in blocks for strip in block.strips]
    height, width = pictures[0].shape[:2] if pictures else (1, 3)
    # Sheets as wide as steel's stand two abreast; squarer ones leave room for a third.
    columns, strip_width = (2, 3.6) if width >= 3 * height else (3, 2.0)
    block_width = _LABEL + strip_width + 0.2
    inches = strip_width / width
    texts: list[tuple[float, float, str, dict[str, Any]]] = []
    places: list[tuple[float, float, Block]] = []
    y = _TOP
    for name, blocks in sections:
        if name:
            texts.append((0.1, y + 0.7 * _HEADING, name, {"fontsize": 10, "fontweight": "bold"}))
            y += _HEADING
        for start in range(0, len(blocks), columns):
            row = blocks[start : start + columns]
            captions = [fill(block.caption, int(strip_width / _LETTER)) for block in row]
            y += _LINE * max(1 + caption.count("\n") for caption in captions) + 0.1
            for column, (block, caption) in enumerate(zip(row, captions, strict=True)):
                x = column * block_width + _LABEL
                texts.append((x, y - 0.05, caption, {"fontsize": 7.5, "color": GREY}))
                places.append((x, y, block))
            y += max(len(block.strips) for block in row) * (height * inches + _GAP) + 0.12
    total = (columns * block_width, y + _BOTTOM)
    figure = Figure(figsize=total, dpi=150)
    figure.text(0.1 / total[0], 1 - 0.28 / total[1], heading, fontsize=12, fontweight="bold")
    figure.text(0.1 / total[0], 1 - 0.5 / total[1], about, fontsize=9, color=GREY)
    for x, from_top, text, how in texts:
        figure.text(x / total[0], 1 - from_top / total[1], text, **how)
    for x, from_top, block in places:
        _draw_block(figure, (x, from_top), inches, block)
    return figure


def _draw_block(figure: Figure, corner: tuple[float, float], inches: float, block: Block) -> None:
    """Draw the strips of a block as one picture, which takes a fraction of the time of one axes each."""
    gap = max(1, round(_GAP / inches))
    pictures = [np.pad(strip.picture, ((0, gap), (0, 0), (0, 0)), constant_values=1) for strip in block.strips]
    picture = np.concatenate(pictures)
    width, height = figure.get_size_inches()
    size = picture.shape[1] * inches / width, picture.shape[0] * inches / height
    axes = figure.add_axes((corner[0] / width, 1 - corner[1] / height - size[1], *size))
    axes.imshow(picture, aspect="auto", interpolation="nearest")
    axes.set_axis_off()
    outlines: dict[str, NDArray[np.bool_]] = {}
    top = 0
    for strip, padded in zip(block.strips, pictures, strict=True):
        rows = slice(top, top + len(strip.picture))
        beside: dict[str, Any] = {"xy": (-0.5, (rows.start + rows.stop) / 2 - 0.5), "textcoords": "offset points"}
        beside |= {"ha": "right", "fontsize": 7.5}
        axes.annotate(
            fill(strip.label, 20),
            xytext=(-4, -4 if strip.note else 0),
            va="bottom" if strip.note else "center",
            fontweight="bold" if strip.bold else "normal",
            **beside,
        )
        if strip.note:
            axes.annotate(strip.note, xytext=(-4, -5), va="top", color=GREY, **beside)
        for mask, colour in strip.outlines:
            outlines.setdefault(colour, np.zeros(picture.shape[:2], dtype=bool))[rows] |= mask
        top += len(padded)
    for colour, masks in outlines.items():
        if masks.any():
            lines = axes.contour(masks.astype(float), levels=[0.5], colors=[colour], linewidths=0.9)
            lines.set_path_effects([withStroke(linewidth=1.9, foreground="black", alpha=0.6)])


def scale_bar(figure: Figure, ends: tuple[str, str], *, signed: bool) -> None:
    """Draw the colours as they look over a grey of middle brightness, at the lower left; name the scale's ends."""
    width, height = figure.get_size_inches()
    values = np.linspace(-1 if signed else 0, 1, 256)
    axes = figure.add_axes((_LABEL / width, 0.3 / height, 2.2 / width, 0.14 / height))
    axes.imshow(overlay(np.full((1, 256), 128, dtype=np.uint8), values[None]), aspect="auto", extent=(0, 1, 0, 1))
    axes.set_axis_off()
    axes.text(-0.02, 0.5, "relevance", ha="right", va="center", fontsize=7.5)
    for x, text, side in ((0, ends[0], "left"), (1, ends[1], "right")):
        axes.text(x, -0.3, text, ha=side, va="top", fontsize=7.5)
    if signed:
        axes.text(0.5, -0.3, "0", ha="center", va="top", fontsize=7.5)


def key(figure: Figure, text: str) -> None:
    """Explain between scale and legend what captions and notes say."""
    width, height = figure.get_size_inches()
    figure.text(3.75 / width, 0.37 / height, text, va="center", fontsize=7, color=GREY)


def outline_legend(figure: Figure, outlines: Mapping[str, str]) -> None:
    """Name the outlines' colours at the lower right."""
    width, height = figure.get_size_inches()
    effects = [withStroke(linewidth=3, foreground="black", alpha=0.6)]
    handles = [Line2D([], [], color=colour, label=name, path_effects=effects) for name, colour in outlines.items()]
    place = (1 - 0.2 / width, 0.37 / height)
    figure.legend(handles=handles, loc="center right", bbox_to_anchor=place, frameon=False, fontsize=7.5, ncols=2)


def full_scale(relevance: NDArray[np.float32]) -> float:
    """The magnitude that has full colour: the 99.5th percentile, the greatest where that is 0, and 1 of empty maps."""
    magnitude = np.abs(relevance)
    return float(np.percentile(magnitude, FULL_SCALE)) or float(magnitude.max()) or 1.0


def grey(sheet: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Picture a greyscale sheet ``[h, w]``: ``[h, w, 3]``, 0..1."""
    return np.repeat(sheet[:, :, None] / 255, 3, axis=2)


def overlay(sheet: NDArray[np.uint8], relevance: NDArray[np.floating]) -> NDArray[np.float64]:
    """Lay red over a faded sheet ``[h, w]`` where relevance is positive, blue where negative: ``[h, w, 3]``, 0..1.

    Colours are full at a relevance of 1 and -1, and beyond.
    """
    from matplotlib.colors import to_rgb

    opacity = _OPACITY * np.clip(np.abs(relevance), 0, 1)[:, :, None]
    colour = np.where(relevance[:, :, None] > 0, to_rgb(EXCITES), to_rgb(INHIBITS))
    return np.asarray((1 - opacity) * (_FADED + (1 - _FADED) * grey(sheet)) + opacity * colour)
