"""Figures of which defects a classifier finds."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.style import BLUE, GREY, VERMILION, tidy, title

_ROW = 0.34
"""Height in inches of one point's row."""


def recall_by_defect(record: Mapping[str, Any], *, data_source: str) -> Figure:
    """Draw the share of defective sheets that is reported, by defect class and by size, with 95 % intervals.

    Args:
        record: What ``detection.measure_detection`` returns. A class or size without test sheets keeps its row, empty.
        data_source: Named under the title.
    """
    by_class, by_size = record["recall_by_class"], record["recall_by_size"] or []
    groups = [(by_class, [row["name"] for row in by_class], BLUE, "Defect class")]
    if by_size:
        groups.append((by_size, _size_names(by_size), VERMILION, "Defect area"))
    heights = [len(rows) for rows, *_ in groups]
    figure = Figure(figsize=(7.6, 1.7 + _ROW * (sum(heights) + len(groups))), layout="constrained", dpi=150)
    panels = figure.subplots(len(groups), 1, sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    for axes, (rows, names, colour, heading) in zip(panels, groups, strict=True):
        _draw_rows(axes, rows, names, colour)
        axes.set_ylabel(heading)
        if record["missed_defect_rate"] is not None:
            axes.axvline(1 - record["missed_defect_rate"], color=GREY, linestyle="--", linewidth=1)
    panels[-1].set(xlabel="Share of the defective sheets that is reported (95% interval)", xlim=(-0.02, 1.02))
    panels[-1].xaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.align_ylabels()
    title(figure, "Which defects are found", _subtitle(record, data_source))
    return figure


def _draw_rows(axes: Axes, rows: Sequence[Mapping[str, Any]], names: Sequence[str], colour: str) -> None:
    for place, row in enumerate(rows):
        if row["n"]:
            low, high = row["recall_interval"]
            axes.hlines(place, low, high, color=colour, linewidth=2)
            axes.plot(row["recall"], place, "o", color=colour, markersize=6)
        found = f"{row['detected']} of {row['n']}" if row["n"] else "no sheets"
        axes.annotate(
            found,
            (1, place),
            (6, 0),
            xycoords=("axes fraction", "data"),
            textcoords="offset points",
            va="center",
            fontsize=8,
            color=GREY,
        )
    axes.set_yticks(range(len(rows)), names)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)


def _size_names(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Say which areas each bin holds, in raw pixels and as a share of the sheet."""
    return [
        f"{row['size']}: {row['area_from']:,} to {row['area_to']:,} px\n"
        f"({row['share_from']:.2%} to {row['share_to']:.2%} of the sheet)"
        for row in rows
    ]


def _subtitle(record: Mapping[str, Any], data_source: str) -> str:
    origin = f"n = {record['n_defective']} defective sheets · data: {data_source}"
    if record["threshold"] is None:
        return f"reported: most probable output is a defect · {origin}"
    false = record["false_alarm_rate"]
    alarms = f"{100 * record['target_false_alarm_rate']:g}% aimed at" + ("" if false is None else f", {false:.1%} here")
    missed = record["missed_defect_rate"]
    line = "" if missed is None else f"; dashed: all defective sheets, {1 - missed:.1%}"
    return f"false alarms: {alarms}{line}\n{origin}"
