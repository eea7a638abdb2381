"""Figures of what a classifier of several classes a sheet gets right."""

from collections.abc import Sequence
from textwrap import fill
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter
from numpy.typing import NDArray

from steel_xai.plots.style import BLACK, BLUE, GREEN, GREY, ORANGE, VERMILION, sample, tidy, title
from steel_xai.sheets.annotations import NO_DEFECT

_SETS = 9
"""Sets of classes with a row and a column of their own, the most frequent ones."""

_SCORES = {"precision": "Precision", "recall": "Recall", "f1": "F1", "auc": "AUC"}


def class_scores(metrics: dict[str, Any], *, data_source: str) -> Figure:
    """Draw precision, recall, F1 and AUC of each class with their 95 % intervals, of the network and of the baseline.

    A score that is undefined, precision of a class that is never predicted, has no mark.

    Args:
        metrics: The record of ``multilabel.evaluate_multilabel``.
        data_source: Named under the title.
    """
    by_class = metrics["test_by_class"]
    names = [f"{fill(name, 22)}\n(n = {one['n']})" for name, one in by_class.items()]
    figure = Figure(figsize=(9.6, 1.9 + 0.62 * len(names)), layout="constrained", dpi=150)
    shown = (
        (metrics["model"], by_class, -0.13, BLUE, "o"),
        ("logistic regression on pixels", metrics["baseline_by_class"], 0.13, ORANGE, "s"),
    )
    for axes, (score, label) in zip(figure.subplots(1, len(_SCORES), sharey=True), _SCORES.items(), strict=True):
        for name, classes, shift, colour, marker in shown:
            for y, one in enumerate(classes.values()):
                low, high = one["intervals"][score]
                if one[score] is not None and low is not None:
                    axes.plot([low, high], [y + shift] * 2, color=colour, linewidth=1.6)
                if one[score] is not None:
                    axes.plot(one[score], y + shift, marker, color=colour, markersize=5)
            axes.plot([], [], marker + "-", color=colour, label=name)
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set(xlim=(-0.03, 1.03), xlabel=label, ylim=(len(names) - 0.5, -0.5))
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        if score == "auc":
            axes.axvline(0.5, color=GREY, linewidth=1, linestyle="--")
    figure.axes[0].set(yticks=range(len(names)), yticklabels=names)
    handles, labels = figure.axes[0].get_legend_handles_labels()
    figure.legend(handles, labels, loc="outside lower center", ncols=2, frameon=False, fontsize=9)
    text = (
        f"thresholds from validation sheets, 95 % intervals · n = {metrics['n_test']} test sheets · data: {data_source}"
    )
    _heading(figure, "Each class by itself", text)
    return figure


def label_sets(
    truth: NDArray[np.bool_], predicted: NDArray[np.bool_], outputs: Sequence[str], *, data_source: str
) -> Figure:
    """Draw how often each set of classes (rows) is taken for which (columns): counts and shares of the row.

    The most frequent sets have a row and a column of their own, fewer classes first; all others share one, in which
    nothing is known to be right.

    Args:
        truth: Whether a sheet has a class, bool [n, K].
        predicted: Whether it is said to have it, bool [n, K].
        outputs: Names of the K classes.
        data_source: Named under the title.
    """
    bits = 1 << np.arange(len(outputs))
    true_set, found_set = truth @ bits, predicted @ bits
    sets = _frequent_sets(np.concatenate([true_set, found_set]))
    names = [_set_name(field, outputs) for field in sets]
    rows, columns = (_position(fields, sets) for fields in (true_set, found_set))
    if max(rows.max(), columns.max()) == len(sets):
        names.append("any other set")
    n_sets = len(names)
    counts = np.zeros((n_sets, n_sets), dtype=int)
    np.add.at(counts, (rows, columns), 1)
    totals = counts.sum(axis=1, keepdims=True)
    shares = counts / np.maximum(totals, 1)
    figure = Figure(figsize=(3.6 + 0.92 * n_sets, 2.3 + 0.66 * n_sets), layout="constrained", dpi=150)
    axes = figure.subplots()
    image = axes.imshow(shares, cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        text = f"{counts[row, column]}\n{share:.0%}" if counts[row, column] else "0"
        axes.text(column, row, text, ha="center", va="center", fontsize=8.5, color="black" if share > 0.5 else "white")
    axes.set(xlabel="Predicted set of classes", ylabel="True set of classes (number of sheets)")
    axes.set_xticks(range(n_sets), names, fontsize=8, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(
        range(n_sets), [f"{name} ({total})" for name, total in zip(names, totals[:, 0], strict=True)], fontsize=8
    )
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    bar = figure.colorbar(image, ax=axes, label="Share of the true set")
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    bar.outline.set_visible(False)
    exact = (true_set == found_set).mean()
    title(figure, "Sets of classes", f"exact match {exact:.1%} · {sample(truth, data_source)}")
    return figure


def threshold_curves(predictions: pd.DataFrame, thresholds: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw precision, recall and F1 of each class against its threshold, and the threshold that was chosen.

    The curves are of the validation sheets, which chose it; the F1 of the test sheets is drawn beside them.

    Args:
        predictions: ``split, label_1 .. label_K, p_1 .. p_K``.
        thresholds: ``class, output, threshold, n_positive, chosen``.
        data_source: Named under the title.
    """
    from steel_xai.evaluation.thresholds import scores_at

    at = np.linspace(0, 1, 501)
    n_columns = min(len(thresholds), 2 if len(thresholds) <= 4 else 4)
    n_rows = -(-len(thresholds) // n_columns)
    figure = Figure(figsize=(1 + 3.2 * n_columns, 1.4 + 2.5 * n_rows), layout="constrained", dpi=150)
    panels = figure.subplots(n_rows, n_columns, sharex=True, sharey=True, squeeze=False).ravel()
    validation, test = (predictions[predictions["split"] == name] for name in ("validation", "test"))
    for axes, one in zip(panels, thresholds.to_dict("records"), strict=False):
        curves, on_test = (
            scores_at(part[f"label_{one['class']}"].to_numpy() == 1, part[f"p_{one['class']}"].to_numpy(), at)
            for part in (validation, test)
        )
        axes.plot(at, on_test["f1"], color=GREY, linewidth=1.2, linestyle="--", label="F1, test")
        axes.plot(at, curves["precision"], color=BLUE, linewidth=1, label="precision, validation")
        axes.plot(at, curves["recall"], color=GREEN, linewidth=1, label="recall, validation")
        axes.plot(at, curves["f1"], color=VERMILION, linewidth=2, label="F1, validation")
        kind = "chosen threshold" if one["chosen"] else "0.5: too few sheets to choose"
        axes.axvline(one["threshold"], color=BLACK, linewidth=1, linestyle=":", label="threshold")
        n_test = int(test[f"label_{one['class']}"].sum())
        about = f"{kind} {one['threshold']:.2f}" if one["chosen"] else kind
        numbers = f"{one['n_positive']} of {len(validation)} sheets, test {n_test}"
        axes.set_title(f"{about}\n{numbers}", fontsize=7.5, color=GREY, loc="left")
        axes.annotate(
            fill(one["output"], 32),
            (0, 1),
            (0, 30),
            xycoords="axes fraction",
            textcoords="offset points",
            fontsize=9,
            fontweight="bold",
        )
        axes.set_xticks([0, 0.5, 1], ["0", "0.5", "1"])
        axes.set(xlim=(0, 1), ylim=(0, 1.02))
        tidy(axes)
    for axes in panels[len(thresholds) :]:
        axes.set_visible(False)
    figure.supylabel("Score", fontsize=10)
    for axes in panels[len(thresholds) - n_columns : len(thresholds)]:
        axes.set_xlabel("Threshold on the probability", fontsize=9)
        axes.tick_params(labelbottom=True)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = {1: 1, 2: 3}.get(n_columns, 5)
    figure.legend(handles, labels, loc="outside lower center", ncols=columns, frameon=False, fontsize=8)
    about = f"{len(validation)} validation and {len(test)} test sheets · data: {data_source}"
    _heading(figure, "Threshold of each class", about)
    return figure


def _heading(figure: Figure, text: str, subtitle: str) -> None:
    """Write a bold title above the figure and a grey line under it, of which no panel has to be as wide."""
    # Its second line keeps room for the grey one, which the layout does not know of.
    figure.suptitle(f"{text}\n", fontweight="bold", x=0.01, ha="left")
    figure.text(0.01, 1 - 0.42 / figure.get_figheight(), subtitle, fontsize=9, color=GREY)


def _frequent_sets(fields: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find the most frequent bit fields, and order them by their number of classes."""
    found, counts = np.unique(fields, return_counts=True)
    frequent = found[np.argsort(-counts, kind="stable")[:_SETS]]
    return np.array(sorted(frequent.tolist(), key=lambda field: (field.bit_count(), field)))


def _position(fields: NDArray[np.int64], sets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Find each field among the sets; behind the last one where it is none of them."""
    same = fields[:, None] == sets
    return np.where(same.any(axis=1), same.argmax(axis=1), len(sets))


def _set_name(field: int, outputs: Sequence[str]) -> str:
    name = " + ".join(output for k, output in enumerate(outputs) if field >> k & 1) or NO_DEFECT
    return fill(name, 24)
