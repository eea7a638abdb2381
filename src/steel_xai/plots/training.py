"""Figures of the training and of what it is made from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from steel_xai.plots.style import BLUE, GREEN, GREY, ORANGE, PANEL, SKY, VERMILION, sample, tidy, title


def training_curves(history: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs.

    Args:
        history: The table that ``training.train_classifier`` returns.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(8.4, PANEL), layout="constrained", dpi=150)
    for axes, measure, label in zip(
        figure.subplots(1, 2), ("loss", "accuracy"), ("Cross-entropy loss", "Accuracy"), strict=True
    ):
        for part, colour, marker in (("train", BLUE, "o"), ("validation", VERMILION, "s")):
            axes.plot(
                history["epoch"],
                history[f"{part}_{measure}"],
                color=colour,
                marker=marker,
                markersize=4,
                label="training (as augmented)" if part == "train" else "validation",
            )
        axes.set(xlabel="Epoch", ylabel=label)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True))
        tidy(axes)
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.axes[0].legend(frameon=False)
    title(figure, "Training curves", f"{len(history)} epochs, {history['seconds'].sum():.0f} s · data: {data_source}")
    return figure


def class_distribution(split: pd.DataFrame, outputs: Sequence[str], *, data_source: str) -> Figure:
    """Draw how many sheets of each class every split has, and beside it what training makes of its own.

    The second panel is there if the split has augmented copies: sheets, copies that add a picture (another flip than
    the sheet's and its earlier copies'), and copies that repeat one. Validation and test have no copies.

    Args:
        split: The columns ``row, label, split, copy, flip_h, flip_v``; ``copy`` is 0 for the sheet itself.
        outputs: Names of the K classes.
        data_source: Named under the title.
    """
    is_copy = split["copy"] > 0
    n_panels = 2 if is_copy.any() else 1
    height = max(PANEL, 1.8 + 0.5 * len(outputs))
    figure = Figure(figsize=(2.4 + 4 * n_panels, height), layout="constrained", dpi=150)
    before, *after = figure.subplots(1, n_panels, sharex=True, sharey=True, squeeze=False)[0]
    _draw_sheets(before, split[~is_copy], len(outputs))
    before.set_xlabel("Sheets before augmentation" if after else "Sheets")
    if after:
        _draw_copies(after[0], split[split["split"] == "train"], len(outputs))
    before.set(yticks=range(len(outputs)), yticklabels=outputs, ylim=(len(outputs) - 0.45, -0.55))
    for axes in figure.axes:
        _finish_bars(axes, legend_below=0.75 / height)
    # What is written beside the longest bar needs room.
    before.set_xlim(0, (1.3 if after else 1.1) * max(axes.dataLim.x1 for axes in figure.axes))
    title(figure, "Class distribution", sample(split[~is_copy], data_source))
    return figure


def _draw_sheets(axes: Axes, sheets: pd.DataFrame, n_classes: int) -> None:
    """Draw a bar for each class and split."""
    height = 0.27
    for shift, (name, colour) in enumerate(zip(("train", "validation", "test"), (BLUE, ORANGE, GREEN), strict=True)):
        counts = _count(sheets.loc[sheets["split"] == name, "label"], n_classes)
        y = np.arange(n_classes) + (shift - 1) * height
        axes.barh(y, counts, 0.92 * height, color=colour, label=f"{name} ({counts.sum()})")
        _write_beside(axes, y, counts, [str(count) for count in counts])


def _draw_copies(axes: Axes, train: pd.DataFrame, n_classes: int) -> None:
    """Draw a bar for each class: its training sheets, the copies that add a picture, those that repeat one."""
    is_copy = train["copy"] > 0
    is_repeat = train.duplicated(["row", "flip_h", "flip_v"])
    y, end = np.arange(n_classes), np.zeros(n_classes, dtype=np.int64)
    parts: tuple[tuple[str, pd.Series, dict[str, Any]], ...] = (
        ("sheets", ~is_copy, {"color": BLUE}),
        ("distinct copies", is_copy & ~is_repeat, {"color": SKY}),
        ("repeated copies", is_repeat, {"color": "white", "edgecolor": SKY, "hatch": "/////"}),
    )
    for name, chosen, look in parts:
        counts = _count(train.loc[chosen, "label"], n_classes)
        some = counts > 0  # a bar without length would show its edge
        if some.any():
            axes.barh(y[some], counts[some], 0.6, end[some], label=f"{name} ({counts.sum()})", **look)
        end += counts
    distinct = end - _count(train.loc[is_repeat, "label"], n_classes)
    copied = _count(train.loc[is_copy, "label"], n_classes) > 0
    texts = [
        f"{n}, {'all' if new == n else new} distinct" if more else str(n)
        for n, new, more in zip(end, distinct, copied, strict=True)
    ]
    _write_beside(axes, y, end, texts)
    axes.set_xlabel("Training examples after augmentation")
    axes.tick_params(labelleft=False)
    axes.set_title(f"{end.sum()} examples, {distinct.sum()} distinct pictures", fontsize=9, color=GREY, loc="left")


def _write_beside(axes: Axes, y: np.ndarray, ends: np.ndarray, texts: Sequence[str]) -> None:
    for place, end, text in zip(y, ends, texts, strict=True):
        axes.annotate(text, (end, place), (3, 0), textcoords="offset points", va="center", fontsize=7.5)


def _finish_bars(axes: Axes, *, legend_below: float) -> None:
    axes.legend(
        frameon=False, fontsize=8, loc="upper center", bbox_to_anchor=(0.5, -legend_below), ncols=3, columnspacing=1.2
    )
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    axes.tick_params(axis="y", length=0)


def _count(labels: pd.Series, n_classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=n_classes)
