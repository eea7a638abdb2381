"""Figures of the training and of what it is made from."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

from steel_xai.plots.style import BLUE, GREEN, GREY, ORANGE, PANEL, SKY, VERMILION, sample, tidy, title
from steel_xai.sheets.annotations import NO_DEFECT


def training_curves(
    history: pd.DataFrame, *, data_source: str, loss: str = "Cross-entropy loss", accuracy: str = "Accuracy"
) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs.

    Args:
        history: The table that ``training.train_classifier`` returns.
        data_source: Named under the title.
        loss: What the loss is called.
        accuracy: What the accuracy is called.
    """
    figure = Figure(figsize=(8.4, PANEL), layout="constrained", dpi=150)
    for axes, measure, label in zip(figure.subplots(1, 2), ("loss", "accuracy"), (loss, accuracy), strict=True):
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


def class_distribution(
    split: pd.DataFrame, outputs: Sequence[str], *, data_source: str, several_classes: bool = False
) -> Figure:
    """Draw how many sheets of each class every split has, and beside it what training makes of its own.

    The second panel is there if the split has augmented copies: sheets, copies that add a picture (another flip than
    the sheet's and its earlier copies'), and copies that repeat one. Validation and test have no copies.

    Args:
        split: The columns ``row, label, split, copy, flip_h, flip_v``; ``copy`` is 0 for the sheet itself.
        outputs: Names of the K classes.
        data_source: Named under the title.
        several_classes: A label is a bit field; a sheet counts in each of its classes, or as one without a defect.
    """
    is_copy = split["copy"] > 0
    names = [NO_DEFECT, *outputs] if several_classes else list(outputs)
    member = _members(split["label"].to_numpy(), len(names), several_classes)
    n_panels = 2 if is_copy.any() else 1
    height = max(PANEL, 1.8 + 0.5 * len(names))
    figure = Figure(figsize=(2.4 + 4 * n_panels, height), layout="constrained", dpi=150)
    before, *after = figure.subplots(1, n_panels, sharex=True, sharey=True, squeeze=False)[0]
    _draw_sheets(before, split, member)
    what = "Sheets before augmentation" if after else "Sheets"
    before.set_xlabel(f"{what}, each in all its classes" if several_classes else what)
    if after:
        _draw_copies(after[0], split, member)
    before.set(yticks=range(len(names)), yticklabels=names, ylim=(len(names) - 0.45, -0.55))
    for axes in figure.axes:
        _finish_bars(axes, legend_below=0.75 / height)
    # What is written beside the longest bar needs room.
    before.set_xlim(0, (1.3 if after else 1.1) * max(axes.dataLim.x1 for axes in figure.axes))
    title(figure, "Class distribution", sample(split[~is_copy], data_source))
    return figure


def _members(labels: np.ndarray, n_groups: int, several_classes: bool) -> np.ndarray:
    """Tell which groups each label belongs to, bool [n, G]: its own one, or those of a bit field's classes."""
    if not several_classes:
        return np.asarray(labels[:, None] == np.arange(n_groups))
    fields = labels[:, None] >> np.arange(n_groups - 1) & 1 == 1
    return np.column_stack([labels == 0, fields])


def _draw_sheets(axes: Axes, split: pd.DataFrame, member: np.ndarray) -> None:
    """Draw a bar for each class and split."""
    height = 0.27
    for shift, (name, colour) in enumerate(zip(("train", "validation", "test"), (BLUE, ORANGE, GREEN), strict=True)):
        chosen = (split["split"] == name) & (split["copy"] == 0)
        counts = member[chosen].sum(axis=0)
        y = np.arange(len(counts)) + (shift - 1) * height
        axes.barh(y, counts, 0.92 * height, color=colour, label=f"{name} ({chosen.sum()})")
        _write_beside(axes, y, counts, [str(count) for count in counts])


def _draw_copies(axes: Axes, split: pd.DataFrame, member: np.ndarray) -> None:
    """Draw a bar for each class: its training sheets, the copies that add a picture, those that repeat one."""
    is_train = split["split"] == "train"
    is_copy = is_train & (split["copy"] > 0)
    is_repeat = is_train & split.duplicated(["row", "flip_h", "flip_v"])
    n_groups = member.shape[1]
    y, end = np.arange(n_groups), np.zeros(n_groups, dtype=np.int64)
    parts: tuple[tuple[str, pd.Series, dict[str, Any]], ...] = (
        ("sheets", is_train & ~is_copy, {"color": BLUE}),
        ("distinct copies", is_copy & ~is_repeat, {"color": SKY}),
        ("repeated copies", is_repeat, {"color": "white", "edgecolor": SKY, "hatch": "/////"}),
    )
    for name, chosen, look in parts:
        counts = member[chosen].sum(axis=0)
        some = counts > 0  # a bar without length would show its edge
        if some.any():
            axes.barh(y[some], counts[some], 0.6, end[some], label=f"{name} ({chosen.sum()})", **look)
        end += counts
    distinct = end - member[is_repeat].sum(axis=0)
    copied = member[is_copy].any(axis=0)
    texts = [
        f"{n}, {'all' if new == n else new} distinct" if more else str(n)
        for n, new, more in zip(end, distinct, copied, strict=True)
    ]
    _write_beside(axes, y, end, texts)
    axes.set_xlabel("Training examples after augmentation")
    axes.tick_params(labelleft=False)
    n_pictures = is_train.sum() - is_repeat.sum()
    axes.set_title(f"{is_train.sum()} examples, {n_pictures} distinct pictures", fontsize=9, color=GREY, loc="left")


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
