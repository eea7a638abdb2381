"""Figures of segmentation networks: what they find, how well, and how they were trained."""

from collections.abc import Mapping, Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from steel_xai.plots.strips import Block, Strip, draw_strips, grey
from steel_xai.plots.style import BLUE, COLOURS, GREY, VERMILION, line, tidy, title

_OPACITY = 0.6
_NAMES = {
    "fcn32_cross_entropy": "FCN32, cross-entropy",
    "fcn32_soft_dice": "FCN32, smooth Dice",
    "unet": "U-Net",
}
_LOSSES = {
    "cross_entropy": "Cross-entropy",
    "soft_dice": "Smooth Dice loss",
    "cross_entropy_and_dice": "Cross-entropy + smooth Dice loss",
}
_ROW = 0.28
"""Height in inches of one network's row."""


def network_name(network: str) -> str:
    """Write a network's name for readers."""
    return _NAMES.get(network, network.replace("_", " "))


def segmentation_examples(
    captions: Sequence[str],
    sheets: NDArray[np.uint8],
    truth: NDArray[np.uint8],
    predicted: Mapping[str, NDArray[np.uint8]],
    class_names: Sequence[str],
    *,
    chosen_by: str,
    n: int,
    data_source: str,
) -> Figure:
    """Draw sheets with the outlines of their true masks, and below each what every network labels, without filter.

    Args:
        captions: Of the N sheets.
        sheets: Greyscale ``[N, h, w]``.
        truth: Labels ``[N, h, w]``, 0 the background.
        predicted: Labels ``[N, h, w]`` of each network, without filter.
        class_names: The K classes, each of a colour of its own.
        chosen_by: The network by whose Dice without filter the sheets were chosen.
        n: Number of sheets that they were chosen from.
        data_source: Named under the title.
    """
    colours = COLOURS[: len(class_names)]
    blocks = []
    for i, caption in enumerate(captions):
        outlines = [(truth[i] == k, colour) for k, colour in enumerate(colours, start=1)]
        strips = [Strip("sheet, true masks", grey(sheets[i]), outlines)]
        for name, labels in predicted.items():
            strips.append(Strip(network_name(name), _tint(sheets[i], labels[i], colours), outlines))
        blocks.append(Block(caption, strips))
    heading = "Masks found by networks that were shown masks, without filter of small components"
    rule = f"chosen by the Dice without filter of {network_name(chosen_by)} from n = {n} test sheets with a defect"
    figure = draw_strips([("", blocks)], heading, f"{rule} · data: {data_source}")
    handles = [Patch(color=colour, label=name) for name, colour in zip(class_names, colours, strict=True)]
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=handles,
        title="outline: true mask, filled: predicted, without filter",
        title_fontsize=7.5,
        loc="center",
        bbox_to_anchor=(0.5, 0.33 / height),
        frameon=False,
        fontsize=7.5,
        ncols=4,
    )
    return figure


def segmentation_dice(
    summaries: Mapping[str, Mapping[str, Any]], class_names: Sequence[str], *, data_source: str
) -> Figure:
    """Draw each network's mean Dice by class with its 95 % interval, over all sheets and over those with the class.

    Filled markers are with the filter of small components, hollow ones without.

    Args:
        summaries: ``segmentation.summary.summarise`` of each network.
        class_names: The K classes.
        data_source: Named under the title.
    """
    groups = [*class_names, "mean"]
    figure = Figure(figsize=(9.2, 1.9 + _ROW * len(groups) * (len(summaries) + 0.6)), layout="constrained", dpi=150)
    panels = figure.subplots(1, 2, sharey=True, sharex=True)
    kinds = (
        ("all_sheets", "all test sheets\n(1 where a class is neither there nor found)"),
        ("sheets_with_class", "test sheets with the class"),
    )
    counts: list[int] = []
    for axes, (kind, label) in zip(panels, kinds, strict=True):
        for place, group in enumerate(groups):
            for turn, summary in enumerate(summaries.values()):
                y = place * (len(summaries) + 0.6) + turn
                for filtered in (False, True):
                    scores = summary["with_filter" if filtered else "without_filter"]["dice"][kind]
                    score = scores["mean"] if group == "mean" else scores["by_class"][group]
                    _draw_score(axes, score, y + (0.12 if filtered else -0.12), turn, filtered)
                    counts += [score["n"]] if group == "mean" else []
            if kind == "sheets_with_class":
                axes.annotate(
                    f"n = {score['n']}", (1, y), (4, 0), xycoords=("axes fraction", "data"),
                    textcoords="offset points", fontsize=7.5, va="center",
                )  # fmt: skip
        axes.set_xlabel(f"Dice, mean over {label}")
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    ticks = [place * (len(summaries) + 0.6) + (len(summaries) - 1) / 2 for place in range(len(groups))]
    panels[0].set(yticks=ticks, xlim=(-0.02, 1.02))
    panels[0].set_yticklabels([fill(group, 18) for group in [*class_names, "mean over a sheet's classes"]], fontsize=9)
    panels[0].invert_yaxis()
    for axes in panels:
        axes.tick_params(axis="y", length=0)
    for turn, network in enumerate(summaries):
        panels[0].plot([], [], "o", color=line(turn)[0], label=network_name(network))
    panels[0].plot([], [], "o", color=GREY, markerfacecolor="white", label="without filter of small components")
    figure.legend(*panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower left", ncols=4)
    title(figure, "Exact Dice by class", f"95% intervals over n = {max(counts)} test sheets · data: {data_source}")
    return figure


def sheets_by_number_of_classes(summaries: Mapping[str, Mapping[str, Any]], *, data_source: str) -> Figure:
    """Draw, for each network without and with the filter, how many sheets have how many classes: actual and predicted.

    Args:
        summaries: ``segmentation.summary.summarise`` of each network.
        data_source: Named under the title.
    """
    filters = {"without_filter": "no filter", "with_filter": "filtered"}
    matrices = {
        (name, way): np.array(summary[way]["sheets_by_number_of_classes"])
        for name, summary in summaries.items()
        for way in filters
    }
    shown = 1 + max(int(np.flatnonzero(matrix.sum(axis=0) + matrix.sum(axis=1)).max()) for matrix in matrices.values())
    cell = 0.42
    size = (2.2 + (0.35 + cell * shown) * len(summaries), 1.3 + (0.5 + cell * shown) * len(filters))
    figure = Figure(figsize=size, layout="constrained", dpi=150)
    panels = figure.subplots(len(filters), len(summaries), sharex=True, sharey=True, squeeze=False)
    totals = next(iter(matrices.values())).sum(axis=1)
    for (name, way), matrix in matrices.items():
        axes = panels[list(filters).index(way)][list(summaries).index(name)]
        part = matrix[:shown, :shown]
        rows = part.sum(axis=1, keepdims=True)
        shares = np.where(rows > 0, part / np.maximum(rows, 1), np.nan)
        image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
        for (row, column), share in np.ndenumerate(shares):
            colour = GREY if np.isnan(share) else "black" if share > 0.5 else "white"
            axes.text(column, row, str(part[row, column]), ha="center", va="center", color=colour, fontsize=8)
        accuracy = summaries[name][way]["number_of_classes_accuracy"]
        axes.set_title(f"{network_name(name)}\n{filters[way]}: {accuracy:.0%} right", fontsize=8)
        axes.set(xticks=range(shown), yticks=range(shown))
        axes.set_yticklabels([f"{k} ({totals[k]})" for k in range(shown)])
        axes.tick_params(length=0, labelsize=8)
        axes.spines[:].set_visible(False)
    figure.supxlabel("Classes predicted on a sheet", fontsize=9)
    figure.supylabel("Classes on a sheet (number of sheets)", fontsize=9)
    bar = figure.colorbar(image, ax=panels, label="Share of the row")
    bar.outline.set_visible(False)
    about = f"n = {totals.sum()} test sheets · data: {data_source}"
    figure.suptitle(f"Number of defect classes a sheet\n{about}", fontsize=10, x=0.01, ha="left")
    return figure


def segmentation_training(
    histories: Mapping[str, pd.DataFrame], losses: Mapping[str, str], *, data_source: str
) -> Figure:
    """Draw loss and Dice of training and validation over the epochs of each network.

    Args:
        histories: The tables that ``segmentation.training.train_segmenter`` returns.
        losses: Of each network.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(1.2 + 2.9 * len(histories), 5.4), layout="constrained", dpi=150)
    panels = figure.subplots(2, len(histories), squeeze=False)
    for (upper, lower), (name, history) in zip(panels.T, histories.items(), strict=True):
        for axes, measure in ((upper, "loss"), (lower, "dice")):
            for part, colour, marker in (("train", BLUE, "o"), ("validation", VERMILION, "s")):
                look = {"color": colour, "marker": marker, "markersize": 3}
                label = "training (as augmented)" if part == "train" else "validation"
                axes.plot(history["epoch"], history[f"{part}_{measure}"], label=label, **look)
            tidy(axes)
        upper.set_title(f"{network_name(name)}\n{len(history)} epochs, {history['seconds'].sum():.0f} s", fontsize=9)
        upper.set(ylabel=_LOSSES[losses[name]], ylim=(0, None))
        lower.set(xlabel="Epoch", ylim=(0, 1))
        for axes in (upper, lower):
            axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    panels[1, 0].set_ylabel("Dice (classes there or found)")
    panels[0, 0].legend(frameon=False, fontsize=8)
    figure.suptitle(f"Training curves · data: {data_source}", fontweight="bold", x=0.01, ha="left")
    return figure


def _draw_score(axes: Axes, score: Mapping[str, Any], y: float, turn: int, filled: bool) -> None:
    if score["mean"] is None:
        return
    colour, _ = line(turn)
    axes.hlines(y, score["low"], score["high"], color=colour, linewidth=1.4 if filled else 0.8)
    axes.plot(score["mean"], y, "o", color=colour, markersize=4.5, markerfacecolor=colour if filled else "white")


def _tint(sheet: NDArray[np.uint8], labels: NDArray[np.uint8], colours: Sequence[str]) -> NDArray[np.float64]:
    """Lay the classes' colours over a sheet ``[h, w]`` where it is labelled: ``[h, w, 3]``, 0..1."""
    palette = np.array([(0, 0, 0), *(to_rgb(colour) for colour in colours)])
    opacity = _OPACITY * (labels > 0)[:, :, None]
    return np.asarray((1 - opacity) * grey(sheet) + opacity * palette[labels])
