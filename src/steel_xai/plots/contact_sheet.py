"""A few examples of an array of pictures: what kedro-viz shows of sheets, masks and maps."""

from collections.abc import Sequence

import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from steel_xai.plots.strips import Block, Strip, draw_strips, full_scale, grey, overlay, scale_bar
from steel_xai.plots.style import COLOURS, empty_figure
from steel_xai.sheets.grey import grey_levels

EXAMPLES = 12

_NO_CLASS = 0.93
"""Grey level of a mask's pixels without a defect: the colours of all classes stand out."""


def contact_sheet(pictures: NDArray[np.generic], *, data_source: str, class_names: Sequence[str] = ()) -> Figure:
    """Draw examples from all over an array, each labelled with its place there.

    Args:
        pictures: Sheets uint8 ``[N, C, h, w]``, masks uint8 ``[N, h, w]`` whose bit k is the k-th class, or signed maps
            of floats ``[N, h, w]``; of anything else the figure states shape and type.
        data_source: Named under the title.
        class_names: Of the masks' bits, from the lowest; bits beyond are numbered.
    """
    if 0 in pictures.shape:
        return empty_figure("There is nothing in this array.", data_source)
    if pictures.ndim == 4:
        return _sheets(pictures, data_source)
    if pictures.ndim == 3 and pictures.dtype == np.uint8:
        return _masks(pictures, class_names, data_source)
    if pictures.ndim == 3 and np.issubdtype(pictures.dtype, np.floating):
        return _maps(pictures, data_source)
    return empty_figure(f"An array of {pictures.dtype}, {' x '.join(map(str, pictures.shape))}", data_source)


def _sheets(sheets: NDArray[np.generic], data_source: str) -> Figure:
    rows = _spread(len(sheets))
    strips = [Strip(f"row {row}", grey(grey_levels(np.asarray(sheets[row], np.uint8)))) for row in rows]
    return _draw(strips, "Sheets", f"{len(rows)} of {len(sheets)} sheets · data: {data_source}")


def _masks(masks: NDArray[np.generic], class_names: Sequence[str], data_source: str) -> Figure:
    """Fill the classes with their colours; empty masks are not shown."""
    rows = _rows_of_classes(masks, max(len(class_names), 1))
    shown = {row: np.asarray(masks[row], np.uint8) for row in rows}
    strips = [Strip(f"row {row}", _paint(mask)) for row, mask in shown.items()]
    about = f"{len(rows)} sheets with a defect, of {len(masks)} sheets · data: {data_source}"
    figure = _draw(strips, "Masks", about)
    used = {bit for mask in shown.values() for bit in range(8) if (mask >> bit & 1).any()}
    bits = sorted(used | set(range(len(class_names))))
    names = [class_names[bit] if bit < len(class_names) else f"class {bit + 1}" for bit in bits]
    handles = [Patch(color=COLOURS[bit], label=name) for bit, name in zip(bits, names, strict=True)]
    figure.legend(handles=handles, loc="lower center", ncols=max(len(handles), 1), frameon=False, fontsize=7.5)
    return figure


def _maps(maps: NDArray[np.generic], data_source: str) -> Figure:
    strips = []
    for number in _spread(len(maps)):
        relevance = np.asarray(maps[number], np.float32)
        background = np.full(relevance.shape, 128, np.uint8)
        strips.append(Strip(f"map {number}", overlay(background, relevance / full_scale(relevance))))
    about = f"{len(strips)} of {len(maps)} maps, each with a scale of its own · data: {data_source}"
    figure = _draw(strips, "Maps", about)
    scale_bar(figure, ("inhibits", "excites"), signed=True)
    return figure


def _spread(n: int) -> list[int]:
    """Choose places that are spread evenly."""
    chosen: list[int] = np.unique(np.linspace(0, n - 1, EXAMPLES, dtype=int)).tolist()
    return chosen


def _rows_of_classes(masks: NDArray[np.generic], n_classes: int) -> list[int]:
    """Find a mask in each stretch of the array, of each class in turn, or of any other where it has none of that.

    Only as much is read as is needed to find them.
    """
    rows = []
    for turn, stretch in enumerate(np.array_split(np.arange(len(masks)), min(EXAMPLES, len(masks)))):
        bit = np.uint8(1 << turn % n_classes)
        wanted = next((row for row in stretch if (np.asarray(masks[row], np.uint8) & bit).any()), None)
        found = wanted if wanted is not None else next((row for row in stretch if masks[row].any()), None)
        if found is not None:
            rows.append(int(found))
    return rows


def _paint(mask: NDArray[np.uint8]) -> NDArray[np.float64]:
    from matplotlib.colors import to_rgb

    picture = np.full((*mask.shape, 3), _NO_CLASS)
    for bit in range(8):
        picture[(mask >> bit & 1).astype(bool)] = to_rgb(COLOURS[bit])
    return picture


def _draw(strips: list[Strip], heading: str, about: str) -> Figure:
    blocks = [Block("", strips[start : start + 2]) for start in range(0, len(strips), 2)]
    return draw_strips([("", blocks)], heading, about)
