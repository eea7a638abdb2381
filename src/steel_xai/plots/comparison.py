"""The figure of a model comparison."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, PercentFormatter

from steel_xai.plots.style import GREY, line, tidy, title

_TABLE_COLUMNS = {
    "accuracy": "Accuracy",
    "balanced_accuracy": "Balanced acc.",
    "f1": "F1",
    "auc": "AUC",
    "ms_per_batch_of_5": "ms / 5 sheets",
}


def accuracy_against_time(comparison: pd.DataFrame) -> Figure:
    """Draw test accuracy against the time for a batch of 5 sheets, and the table beside the study's.

    Filled markers are this run's, with 95 % bootstrap intervals; hollow ones the published figures of the same variant,
    on other data and another machine. Logistic regression, which is not timed, is a dashed line.

    Args:
        comparison: The table of ``comparison.compare``.
    """
    n_rows = len(comparison)
    figure = Figure(figsize=(8.4, 4.4 + 0.24 * (n_rows + 2)), layout="constrained", dpi=150)
    axes, below = figure.subplots(2, 1, height_ratios=[3.8, 0.24 * (n_rows + 2)])
    timed = comparison[comparison["ms_per_batch_of_5"].notna() & comparison["accuracy"].notna()]
    for k, row in enumerate(timed.to_dict("records")):
        colour, _ = line(k)
        errors = [[row["accuracy"] - row["accuracy_low"]], [row["accuracy_high"] - row["accuracy"]]]
        x, y = row["ms_per_batch_of_5"], row["accuracy"]
        axes.errorbar(x, y, yerr=errors, color=colour, marker="o", capsize=3, linestyle="none", label=_name(row))
        if pd.notna(row["published_accuracy"]):
            place = row["published_ms_per_batch_of_5"], row["published_accuracy"]
            axes.plot(*zip((x, y), place, strict=True), color=colour, linewidth=0.6, alpha=0.5)
            axes.plot(*place, color=colour, marker="D", markerfacecolor="white", linestyle="none")
    for row in comparison[comparison["ms_per_batch_of_5"].isna() & comparison["accuracy"].notna()].to_dict("records"):
        axes.axhline(row["accuracy"], color=GREY, linestyle="--", linewidth=1, label=_name(row))
    if timed["published_accuracy"].notna().any():
        label = "study (Severstal, GTX 850M)"
        axes.plot([], [], color=GREY, marker="D", markerfacecolor="white", linestyle="none", label=label)
    axes.set_xscale("log")
    axes.xaxis.set_major_formatter(FuncFormatter(lambda x, _: f"{x:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda x, _: f"{x:g}" if str(x)[0] in "25" else ""))
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set(xlabel="Time for a batch of 5 sheets (ms)", ylabel="Test accuracy")
    axes.legend(frameon=False, fontsize=8, loc="upper left", bbox_to_anchor=(1, 1))
    tidy(axes)
    _write_table(below, comparison)
    n_test, source = comparison["n_test"].max(), comparison["data_source"].dropna().iloc[0]
    title(figure, "Accuracy and speed of the variants", f"n = {n_test:.0f} test sheets · data: {source}")
    return figure


def _write_table(axes: Axes, comparison: pd.DataFrame) -> None:
    """Write this run's figures and the published ones side by side."""
    cells = [[_name(row), *(_pair(row, column) for column in _TABLE_COLUMNS)] for row in comparison.to_dict("records")]
    axes.axis("off")
    table = axes.table(
        cells,
        colLabels=["this run / study", *_TABLE_COLUMNS.values()],
        loc="center",
        cellLoc="center",
        edges="horizontal",
    )
    for cell in table.get_celld().values():
        cell.set_linewidth(0.4)
    table.auto_set_font_size(False)
    table.set_fontsize(8)
    table.auto_set_column_width(range(len(_TABLE_COLUMNS) + 1))


def _pair(row: dict[str, object], column: str) -> str:
    digits = 1 if column.startswith("ms") else 3
    return " / ".join(
        "-" if pd.isna(value) else f"{value:.{digits}f}" for value in (row[column], row[f"published_{column}"])
    )


def _name(row: dict[str, object]) -> str:
    return str(row["variant"]).replace("_", " ")
