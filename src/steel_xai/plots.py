"""Every figure of the project: functions that return a Figure and never save it.

Colours are those of Okabe and Ito (2008) and of cividis, which people with any colour vision tell apart.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
LINE_STYLES = ("-", "--", ":")
"""A style for each round through the colours."""
GREY = "#666666"

_PANEL = 3.6
"""Height in inches of one panel."""


def training_curves(history: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw loss and accuracy of training and validation over the epochs.

    Args:
        history: The table that ``training.train_classifier`` returns.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(8.4, _PANEL), layout="constrained", dpi=150)
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
        _tidy(axes)
    figure.axes[0].set_ylim(bottom=0)
    figure.axes[1].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.axes[0].legend(frameon=False)
    _title(figure, "Training curves", f"{len(history)} epochs, {history['seconds'].sum():.0f} s · data: {data_source}")
    return figure


def roc_curve(
    labels: Sequence[int] | np.ndarray,
    probabilities: np.ndarray,
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw ROC curves: that of the second output if there are two, else of each against the rest.

    Args:
        labels: Classes 0..K-1, [n]. An output without a sheet of its own, or without others, has no curve.
        probabilities: Of each output, [n, K].
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    from sklearn.metrics import roc_auc_score
    from sklearn.metrics import roc_curve as roc_points

    labels = np.asarray(labels)
    figure = Figure(figsize=(4.9, 5.1), layout="constrained", dpi=150)
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="chance (AUC 0.5)")
    for k, name in list(enumerate(outputs))[1 if len(outputs) == 2 else 0 :]:
        is_class = labels == k
        if is_class.all() or not is_class.any():
            continue
        false_rate, true_rate, _ = roc_points(is_class, probabilities[:, k], drop_intermediate=False)
        colour, style = _line(k - (len(outputs) == 2))
        auc = roc_auc_score(is_class, probabilities[:, k])
        axes.step(
            false_rate,
            true_rate,
            where="post",
            color=colour,
            linestyle=style,
            label=f"{name}: AUC {auc:.3f} ({is_class.sum()} of {len(labels)} sheets)",
        )
    axes.set(
        xlabel="False positive rate",
        ylabel="True positive rate",
        xlim=(-0.01, 1.01),
        ylim=(-0.01, 1.01),
        aspect="equal",
    )
    axes.legend(frameon=False, loc="lower right", fontsize=8)
    _tidy(axes)
    _title(
        figure, "ROC curve" if len(outputs) == 2 else "ROC curves, one against the rest", _sample(labels, data_source)
    )
    return figure


def confusion_matrix(
    labels: Sequence[int] | np.ndarray,
    predicted: Sequence[int] | np.ndarray,
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw how many sheets of each class (rows) are taken for which (columns): counts and shares of the row.

    Args:
        labels: Classes 0..K-1, [n].
        predicted: Predicted classes, [n].
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    from sklearn.metrics import confusion_matrix as count_pairs

    n_classes = len(outputs)
    counts = count_pairs(labels, predicted, labels=range(n_classes))
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    side = 2.4 + 0.8 * n_classes
    figure = Figure(figsize=(side + 1, side), layout="constrained", dpi=150)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1)
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]}\n{share:.0%}" if totals[row, 0] else "0"
        axes.text(column, row, text, ha="center", va="center", color="black" if share > 0.5 else "white")
    axes.set(
        xlabel="Predicted class",
        ylabel="True class (number of sheets)",
        xticks=range(n_classes),
        yticks=range(n_classes),
    )
    axes.set_xticklabels(outputs, rotation=0 if n_classes <= 2 else 30, ha="center" if n_classes <= 2 else "right")
    axes.set_yticklabels([f"{name} ({total})" for name, total in zip(outputs, totals[:, 0], strict=True)])
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="Share of the true class", shrink=0.8)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)
    accuracy = np.trace(counts) / max(1, counts.sum())
    _title(figure, "Confusion matrix", f"accuracy {accuracy:.1%} · {_sample(labels, data_source)}")
    return figure


def class_distribution(split: pd.DataFrame, outputs: Sequence[str], *, data_source: str) -> Figure:
    """Draw how many sheets of each class every split has, augmented copies stacked on top of them.

    Args:
        split: The columns ``label, split, copy``; ``copy`` is 0 for the sheet itself.
        outputs: Names of the K classes.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(max(5.6, 1.6 + 1.15 * len(outputs)), _PANEL), layout="constrained", dpi=150)
    axes = figure.subplots()
    positions = np.arange(len(outputs))
    width = 0.27
    for shift, (name, colour) in enumerate(zip(("train", "validation", "test"), (BLUE, ORANGE, GREEN), strict=True)):
        part = split[split["split"] == name]
        sheets = _count(part.loc[part["copy"] == 0, "label"], len(outputs))
        copies = _count(part.loc[part["copy"] > 0, "label"], len(outputs))
        x = positions + (shift - 1) * width
        label = f"{name} ({sheets.sum()})"
        axes.bar(x, sheets, 0.92 * width, color=colour, label=label)
        if copies.any():
            label = f"{name}, augmented copies ({copies.sum()})"
            axes.bar(x, copies, 0.92 * width, sheets, color="white", edgecolor=colour, hatch="////", label=label)
        for place, total in zip(x, sheets + copies, strict=True):
            axes.annotate(str(total), (place, total), (0, 2), textcoords="offset points", ha="center", fontsize=7.5)
    axes.set(xlabel="Class", ylabel="Sheets", xticks=positions)
    axes.set_xticklabels(outputs)
    axes.legend(
        frameon=False, title="Split (sheets)", fontsize=8, title_fontsize=8, loc="upper left", bbox_to_anchor=(1, 1)
    )
    axes.set_ylim(top=1.1 * axes.dataLim.y1)
    _tidy(axes)
    _title(figure, "Class distribution", _sample(split.loc[split["copy"] == 0, "label"], data_source))
    return figure


def _line(k: int) -> tuple[str, str]:
    """Choose colour and style of the k-th line, both together unlike those of the lines before."""
    turn, colour = divmod(k, len(COLOURS))
    return COLOURS[colour], LINE_STYLES[turn % len(LINE_STYLES)]


def _count(labels: pd.Series, n_classes: int) -> np.ndarray:
    return np.bincount(labels, minlength=n_classes)


def _sample(labels: Sequence[int] | np.ndarray | pd.Series, data_source: str) -> str:
    return f"n = {len(labels)} sheets · data: {data_source}"


def _title(figure: Figure, title: str, subtitle: str) -> None:
    figure.suptitle(title, fontweight="bold", x=0.01, ha="left")
    figure.axes[0].set_title(subtitle, fontsize=9, color=GREY, loc="left")


def _tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
