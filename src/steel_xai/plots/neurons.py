"""Figures of single filters: the images that excite them most, the sheets that do, and what both are like."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.ticker import PercentFormatter

from steel_xai.inspection.neurons import MODES, Neuron
from steel_xai.inspection.receptive_field import ReceptiveField
from steel_xai.plots.style import BLUE, GREY, ORANGE, PANEL, VERMILION, tidy, title

_DPI = 200
_IMAGE, _GAP, _BETWEEN = 1.25, 0.04, 0.22
"""Inches: side of a made image, gap between pictures, gap between filters."""
_TOP, _HEADING, _CAPTION, _BOTTOM, _MARGIN = 0.72, 0.3, 0.3, 0.42, 0.12
_LEAST_WIDTH = 9.2
"""Inches that the lines of the key need, however few filters there are."""

_FRAME = "#999999"

_TIMES = "\N{MULTIPLICATION SIGN}"
_LOOKS = {"plain": (VERMILION, "o", "plain"), "multi_scale": (BLUE, "s", "multi-scale")}


def neuron_gallery(
    neurons: list[Neuron], fields: Mapping[str, ReceptiveField], table: pd.DataFrame, *, data_source: str
) -> Figure:
    """Draw, layer by layer, each filter's images, plain beside multi-scale, and below them its patches of sheets.

    All pictures share one scale of greys, black to white. Made images of a layer are as large as each other, and so are
    its patches; a bar gives the scale of the patches.

    Args:
        neurons: Of all layers, each with images of both modes.
        fields: Receptive field of each layer.
        table: As `inspect_neurons` makes it, for the strength that is written above each filter.
        data_source: Named under the title.
    """
    layers = {neuron.layer: [other for other in neurons if other.layer == neuron.layer] for neuron in neurons}
    block = 2 * _IMAGE + _GAP
    columns = max(map(len, layers.values()))
    n_patches = max(len(neuron.patches) for neuron in neurons)
    side = (block - (n_patches - 1) * _GAP) / n_patches
    heights = {layer: side * _aspect(found[0]) for layer, found in layers.items()}
    width = max(_LEAST_WIDTH, 2 * _MARGIN + columns * block + (columns - 1) * _BETWEEN)
    height = _TOP + _BOTTOM + sum(_HEADING + _CAPTION + _IMAGE + 2 * _GAP + heights[layer] + 0.16 for layer in layers)
    figure = Figure(figsize=(width, height), dpi=_DPI)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    axes.text(_MARGIN, 0.26, "What excites single filters", fontsize=12, fontweight="bold")
    n_sheets = len({patch.row for neuron in neurons for patch in neuron.patches})
    about = f"n = {len(neurons)} filters, patches of {n_sheets} sheets · data: {data_source}"
    axes.text(_MARGIN, 0.48, about, fontsize=9, color=GREY)
    y = _TOP
    for layer, found in layers.items():
        field = fields[layer]
        heading = f"{layer}: sees {_sides(field.size)} pixels, step {_sides(field.stride)}"
        axes.text(_MARGIN, y + 0.18, heading, fontsize=10, fontweight="bold")
        y += _HEADING + _CAPTION
        for column, neuron in enumerate(found):
            _draw_neuron(axes, neuron, (_MARGIN + column * (block + _BETWEEN), y), side, table)
        patch = found[0].patches[0].pixels
        _scale_bar(axes, _MARGIN, y + _IMAGE + 2 * _GAP + heights[layer] + 0.05, side / patch.shape[1], patch.shape[1])
        y += _IMAGE + 2 * _GAP + heights[layer] + 0.16
    key = (
        "Above: images made by gradient ascent, plain (left) and multi-scale (right); below: sheets that excite the "
        "filter most, with an outline of what it sees where that is not all.\n"
        f"{_TIMES}: the image's mean response over the greatest mean of any sheet; in brackets the same of peaks. "
        "Greys run from black to white in all pictures alike."
    )
    axes.text(_MARGIN, y + 0.1, key, fontsize=7.5, color=GREY, va="top", linespacing=1.4)
    return figure


def neuron_scores(
    table: pd.DataFrame, summary: pd.DataFrame, *, cutoff: float, n_sheets: int, data_source: str
) -> Figure:
    """Draw by layer how much of the images' energy is high-frequency, and how far they exceed real sheets.

    Args:
        table: As `inspect_neurons` makes it; a faint point a filter.
        summary: As `summarise_neurons` makes it, for means and intervals.
        cutoff: In cycles a pixel.
        n_sheets: How many sheets the responses were compared with.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(9.6, PANEL + 0.4), layout="constrained", dpi=150)
    left, right = figure.subplots(1, 2)
    layers = list(dict.fromkeys(table["layer"]))
    summary = summary.set_index(["layer", "mode"])
    for mode, shift in zip(MODES, (-0.14, 0.14), strict=True):
        colour, marker, name = _LOOKS[mode]
        for position, layer in enumerate(layers):
            part = table[(table["layer"] == layer) & (table["mode"] == mode)]
            beside = np.full(len(part), position + shift) + np.linspace(-0.07, 0.07, len(part))
            look: dict[str, Any] = {"color": colour, "marker": marker, "linestyle": "", "markersize": 3.5, "alpha": 0.4}
            left.plot(beside, part["high_frequency_share"], **look)
            right.plot(beside, part["peak"] / part["sheet_peak"], **look)
            row = summary.loc[(layer, mode)]
            mean = row["high_frequency_share"]
            ends = [[mean - row["high_frequency_share_low"]], [row["high_frequency_share_high"] - mean]]
            left.errorbar([position + shift], [mean], ends, color=colour, marker=marker, markersize=6, capsize=3)
            middle = (part["peak"] / part["sheet_peak"]).median()
            right.plot([position + shift], [middle], color=colour, marker=marker, markersize=6, linestyle="")
        left.plot([], [], color=colour, marker=marker, linestyle="", label=name)
    left.set(ylim=(0, 1.02), ylabel=f"Energy above {cutoff:g} cycles per pixel")
    left.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    left.legend(frameon=False, fontsize=8, loc="lower left")
    right.axhline(1, color=GREY, linewidth=0.8, linestyle="--")
    right.set(yscale="log", ylabel="Peak response / greatest on a sheet")
    right.yaxis.set_major_formatter(lambda value, _: f"{value:g}{_TIMES}")
    right.yaxis.set_minor_formatter(lambda value, _: f"{value:g}{_TIMES}" if round(value, 6) in (0.5, 2, 5) else "")
    for axes in (left, right):
        axes.set_xticks(range(len(layers)), layers)
        axes.set_xlim(-0.5, len(layers) - 0.5)
        tidy(axes)
    n = len(table) // len(MODES)
    title(
        figure,
        "Images made for single filters",
        f"n = {n} filters, {n_sheets} sheets · data: {data_source}\nlarge: mean over filters (left, with 95% interval "
        "from 5 filters on), median (right)",
    )
    return figure


def _draw_neuron(axes: Axes, neuron: Neuron, corner: tuple[float, float], side: float, table: pd.DataFrame) -> None:
    x, y = corner
    of_filter = table[(table["layer"] == neuron.layer) & (table["filter"] == neuron.channel)].set_index("mode")
    strengths = [
        f"{_TIMES}{of_filter.loc[mode, 'mean'] / of_filter.loc[mode, 'sheet_mean']:.1f} "
        f"({of_filter.loc[mode, 'peak'] / of_filter.loc[mode, 'sheet_peak']:.1f})"
        for mode in MODES
    ]
    axes.text(x, y - 0.17, f"filter {neuron.channel}", fontsize=7.5, fontweight="bold")
    for k, (mode, strength) in enumerate(zip(MODES, strengths, strict=True)):
        left = x + k * (_IMAGE + _GAP)
        axes.text(left, y - 0.04, f"{_LOOKS[mode][2]} {strength}", fontsize=7, color=GREY)
        _picture(axes, neuron.images[mode], 1, (left, y), _IMAGE)
    y += _IMAGE + 2 * _GAP
    for k, patch in enumerate(neuron.patches):
        left, scale = x + k * (side + _GAP), side / patch.pixels.shape[1]
        _picture(axes, patch.pixels, 255, (left, y), side)
        top, first, bottom, last = patch.field
        if (bottom - top, last - first) != patch.pixels.shape:
            place = (left + first * scale, y + top * scale)
            box = Rectangle(place, (last - first) * scale, (bottom - top) * scale, fill=False, color=ORANGE, lw=1)
            axes.add_patch(box)


def _picture(axes: Axes, pixels: np.ndarray, white: float, corner: tuple[float, float], width: float) -> None:
    """Draw pixels with a thin frame, because white ones would not be told from the paper."""
    x, y = corner
    height = width * pixels.shape[0] / pixels.shape[1]
    extent = (x, x + width, y + height, y)
    axes.imshow(pixels, cmap="gray", vmin=0, vmax=white, extent=extent, aspect="auto", interpolation="nearest")
    axes.add_patch(Rectangle(corner, width, height, fill=False, color=_FRAME, lw=0.5))


def _scale_bar(axes: Axes, x: float, y: float, inches: float, width: int) -> None:
    """Draw a bar below the first patch: the longest of 10, 20, 50 pixels within half its width."""
    length = max(pixels for pixels in (5, 10, 20, 50, 100, 200) if pixels <= max(width / 2, 5))
    axes.plot([x, x + length * inches], [y, y], color="black", linewidth=1.5, solid_capstyle="butt")
    axes.text(x + length * inches + 0.04, y, f"{length} px", fontsize=6.5, va="center")


def _aspect(neuron: Neuron) -> float:
    height, width = neuron.patches[0].pixels.shape
    return float(height / width)


def _sides(pair: tuple[int, int]) -> str:
    return f"{pair[0]} {_TIMES} {pair[1]}"
