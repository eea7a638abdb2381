"""Figures of what a classifier's confidence is worth: calibration, and answering above a threshold only."""

from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import MaxNLocator, NullLocator, PercentFormatter
from numpy.typing import ArrayLike

from steel_xai.intervals import exact_interval
from steel_xai.plots.style import BLUE, GREY, ORANGE, SKY, VERMILION, sample, tidy, title

_THRESHOLD_TICKS = (0.9, 0.99, 0.999, 0.9999, 0.5, 0.2, 0.35, 0.7, 0.6, 0.8, 0.95, 0.4, 0.3, 0.55, 0.65, 0.75, 0.1, 0)
"""Candidates by priority: one is drawn where it has room."""

_NEAREST_TO_ONE = 1e-5
"""Thresholds nearer to 1 than this are drawn at this distance."""


def reliability_diagram(record: dict[str, Any], *, data_source: str) -> Figure:
    """Draw accuracy against confidence of the test sheets, without and with the fitted temperature.

    Hatched is the gap between a bin's accuracy and its mean confidence; its average over sheets is the expected
    calibration error (ECE). Below is the number of sheets in each bin.

    Args:
        record: What ``calibration.calibrate`` returns.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(8.4, 5.6), layout=ConstrainedLayoutEngine(wspace=0.06), dpi=150)
    grid = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=[3, 1])
    parts = [record["test"]["before"], record["test"]["after"]]
    for (upper, lower), measured in zip(grid.T, parts, strict=True):
        _draw_bins(upper, measured["reliability"])
        _draw_counts(lower, measured["reliability"])
        lower.set_xlabel("Confidence")
    bins = len(parts[0]["reliability"])
    # No confidence is below 1 / K.
    grid[0, 0].set(xlim=(bins // record["n_classes"] / bins, 1), ylim=(0, 1.02), ylabel="Accuracy")
    grid[0, 0].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    grid[0, 0].yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    grid[1, 0].set(ylabel="Sheets", ylim=(0, 1.25 * max(b["n"] for part in parts for b in part["reliability"])))
    handles, names = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles, names, frameon=False, fontsize=8, loc="outside lower center", ncols=len(names))
    bound = ", at its bound" if record["at_bound"] else ""
    before = f"As predicted (T = 1)\n{_error_in_words(parts[0])}"
    after = f"With temperature T = {record['temperature']:.2f}{bound}\n{_error_in_words(parts[1])}"
    title(figure, "Reliability diagram", f"{sample(range(record['n_test']), data_source)}\n\n{before}")
    grid[0, 1].set_title(after, fontsize=9, color=GREY, loc="left")
    return figure


def abstention_curve(table: pd.DataFrame, record: dict[str, Any], *, data_source: str) -> Figure:
    """Draw what the test sheets gain when the classifier answers above a confidence threshold only.

    On the left accuracy, balanced accuracy and number answered against the threshold, on an axis that stretches the
    neighbourhood of 1; on the right accuracy against coverage, between abstention at random and with a confidence that
    ranks all errors last.

    Args:
        table: What ``abstention.abstention_table`` returns.
        record: What ``abstention.measure_abstention`` returns.
        data_source: Named under the title.
    """
    drawn = table["threshold"] <= 1 - _NEAREST_TO_ONE
    answered = table[(table["split"] == "test") & (table["n_answered"] > 0) & drawn]
    figure = Figure(figsize=(9.2, 5.4), layout="constrained", dpi=150)
    panels = figure.subplot_mosaic(
        [["scores", "trade"], ["number", "trade"]], height_ratios=[1.7, 1], width_ratios=[1.2, 1]
    )
    scores, number, trade = panels["scores"], panels["number"], panels["trade"]
    _draw_scores(scores, answered["threshold"], answered)
    number.plot(answered["threshold"], answered["n_answered"], color="black")
    _draw_scores(trade, answered["coverage"], answered)
    _draw_references(trade, float(answered["accuracy"].iloc[0]))

    lowest = answered[["accuracy", "balanced_accuracy"]].min(axis=None)
    for axes in (scores, trade):
        axes.axhline(record["target_accuracy"], color=VERMILION, linewidth=1, linestyle=":", label="target")
        axes.set_ylim(max(0, np.floor(20 * (min(lowest, record["target_accuracy"]) - 0.015)) / 20), 1.01)
        axes.yaxis.set_major_locator(MaxNLocator(steps=[1, 2, 5, 10]))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    threshold = record["threshold"]
    if threshold is not None:
        for axes in (scores, number):
            axes.axvline(min(threshold, 1 - _NEAREST_TO_ONE), color=VERMILION, linewidth=1, label="chosen threshold")
        _mark_choice(trade, record["test"])
    last = max(answered["threshold"].iloc[-1], 0 if threshold is None else threshold)
    for axes in (scores, number):
        _stretch_towards_one(axes, 1 / record["n_classes"], last)
    scores.tick_params(labelbottom=False)
    scores.set_ylabel("Accuracy when answered")
    number.set(xlabel="Confidence threshold", ylabel="Sheets answered", ylim=(0, 1.05 * record["n_test"]))
    n_test = record["n_test"]
    shares = number.secondary_yaxis("right", functions=(lambda n: n / n_test, lambda share: share * n_test))
    shares.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    shares.spines["right"].set_visible(False)
    trade.set(xlabel="Coverage (share answered)", ylabel="Accuracy when answered", xlim=(0, 1.01))
    trade.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    for axes in panels.values():
        tidy(axes)
    handles = {
        name: handle for axes in (scores, trade) for handle, name in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    figure.legend(handles.values(), handles.keys(), frameon=False, fontsize=8, loc="outside lower center", ncols=4)
    low, high = record["aurc_interval"]
    about = (
        f"area under the risk-coverage curve {record['aurc']:.3f} [{low:.3f}, {high:.3f}] (95 % intervals in brackets)"
    )
    title(
        figure,
        'Answering above a confidence threshold, else "I don\'t know"',
        f"{sample(range(n_test), data_source)} · {about}\n{_choice_in_words(record)}",
    )
    return figure


def _draw_bins(axes: Axes, bins: list[dict[str, Any]]) -> None:
    """Draw accuracy and gap of the bins that have sheets, and the diagonal."""
    filled = pd.DataFrame([b for b in bins if b["n"]])
    width = filled["high"] - filled["low"]
    axes.bar(
        filled["low"],
        filled["accuracy"],
        width,
        align="edge",
        color=SKY,
        edgecolor="white",
        label="accuracy in the bin",
    )
    axes.bar(
        filled["low"],
        filled["confidence"] - filled["accuracy"],
        width,
        filled["accuracy"],
        align="edge",
        color="none",
        edgecolor=VERMILION,
        hatch="////",
        label="gap to its mean confidence",
    )
    low, high = exact_interval((filled["accuracy"] * filled["n"]).round(), filled["n"])
    axes.errorbar(
        filled["low"] + width / 2,
        filled["accuracy"],
        np.maximum(0, [filled["accuracy"] - low, high - filled["accuracy"]]),
        fmt="none",
        ecolor="black",
        elinewidth=0.8,
        capsize=2,
        label="95 % interval of the accuracy",
    )
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfectly calibrated")
    tidy(axes)


def _draw_counts(axes: Axes, bins: list[dict[str, Any]]) -> None:
    width = 1 / len(bins)
    axes.bar([b["low"] for b in bins], [b["n"] for b in bins], width, align="edge", color=GREY, edgecolor="white")
    for b in bins:
        if b["n"]:
            place = (b["low"] + width / 2, b["n"])
            axes.annotate(str(b["n"]), place, (0, 2), textcoords="offset points", ha="center", fontsize=7.5)
    tidy(axes)


def _error_in_words(measured: dict[str, Any]) -> str:
    low, high = measured["ece_interval"]
    if_low, if_high = measured["ece_if_calibrated"]
    interval = f"95 % interval {low:.3f} to {high:.3f}"
    return f"ECE {measured['ece']:.3f}, {interval}\n({if_low:.3f} to {if_high:.3f} if perfectly calibrated)"


def _draw_scores(axes: Axes, x: pd.Series, answered: pd.DataFrame) -> None:
    """Draw accuracy with its interval, and balanced accuracy."""
    axes.plot(x, answered["accuracy"], color=BLUE, label="accuracy")
    axes.fill_between(
        x,
        answered["accuracy_low"],
        answered["accuracy_high"],
        color=BLUE,
        alpha=0.15,
        linewidth=0,
        label="95 % interval of the accuracy",
    )
    axes.plot(x, answered["balanced_accuracy"], color=ORANGE, linestyle="--", label="balanced accuracy")


def _draw_references(axes: Axes, accuracy: float) -> None:
    """Draw the accuracy that abstention at random keeps, and what a perfect order of the sheets would reach."""
    coverage = np.linspace(0.01, 1, 200)
    axes.axhline(accuracy, color=GREY, linewidth=1, linestyle="-.", label="abstention at random")
    axes.plot(
        coverage,
        np.minimum(1, accuracy / coverage),
        color=GREY,
        linewidth=1,
        linestyle="--",
        label="all errors ranked last",
    )


def _mark_choice(axes: Axes, test: dict[str, Any]) -> None:
    """Mark coverage and accuracy of the test sheets at the chosen threshold."""
    if test["n_answered"]:
        axes.plot(test["coverage"], test["accuracy"], "o", color=VERMILION, markersize=6)


def _choice_in_words(record: dict[str, Any]) -> str:
    target, n_validation = f"{100 * record['target_accuracy']:.4g}%", record["n_validation"]
    if record["threshold"] is None:
        return f"no threshold reaches {target} accuracy on the {n_validation} validation sheets"
    chosen = f"{target} on {n_validation} validation sheets from confidence {record['threshold']:.5g} up"
    test = record["test"]
    if not test["n_answered"]:
        return f"{chosen}, which no test sheet has"
    low, high = test["accuracy_interval"]
    scored = f"{test['accuracy']:.1%} [{low:.1%}, {high:.1%}] of the {test['n_answered']} answered"
    return f"{chosen}; on test {scored} ({test['coverage']:.0%})"


def _stretch_towards_one(axes: Axes, first: float, last: float) -> None:
    """Scale the axis of thresholds t as -log10(1 - t), so that 0.9, 0.99, 0.999 are equally far apart."""

    def stretch(threshold: ArrayLike) -> Any:
        return -np.log10(np.maximum(1 - np.asarray(threshold), _NEAREST_TO_ONE))

    def shrink(position: ArrayLike) -> Any:
        return 1 - 10 ** -np.asarray(position)

    last = min(max(last, first + 0.01), 1 - _NEAREST_TO_ONE)
    room = 0.1 * (stretch(last) - stretch(first))
    ticks: list[float] = []
    for tick in _THRESHOLD_TICKS:
        if first <= tick <= last and all(abs(stretch(tick) - stretch(other)) > room for other in ticks):
            ticks.append(tick)
    axes.set_xscale("function", functions=(stretch, shrink))
    axes.set_xlim(first, last)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
