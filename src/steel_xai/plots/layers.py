"""Figures of what the layers of a network have learned."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.style import BLUE, COLOURS, GREEN, GREY, PANEL, VERMILION, tidy, title

_MARKERS = "os^Dv*XP"
_PROBED = {
    "": ("trained network", BLUE, "o", "-"),
    "random_network_": ("random weights (control)", VERMILION, "s", "--"),
    "shuffled_": ("shuffled labels (control)", GREEN, "^", ":"),
}
_CONSTANT = {"balanced_accuracy": "chance_balanced_accuracy", "accuracy": "majority_accuracy"}
_SHADES = {"features": "#EEF3F8", "classifier": "#FBF1E3"}
_COLUMNS, _TILE, _TOP, _LINE = 4, 2.3, 0.6, 0.22
"""Panels side by side; inches of a panel, of what is above all panels, and of a line of the legend."""
_NAMES = 5
"""Classes in a line of the legend."""


def layer_probe(table: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw the accuracy of linear probes against depth, with the controls and what a constant answer would reach.

    Balanced accuracy comes first, because a probe that answers the commonest class always is 50 % accurate where half
    the sheets have it; the accuracy is what the classifier's own is compared with.

    Args:
        table: Rows of ``inspection.probe.layer_probe``; bars are its intervals.
        data_source: Named under the title.
    """
    width = max(7.2, 1.5 + 0.27 * len(table))
    figure = Figure(figsize=(width, 2 * PANEL), layout="constrained", dpi=150)
    panels = figure.subplots(2, 1, sharex=True)
    for axes, (score, constant) in zip(panels, _CONSTANT.items(), strict=True):
        _shade_areas(axes, table)
        for offset, (prefix, (label, colour, marker, style)) in zip((-0.12, 0, 0.12), _PROBED.items(), strict=True):
            values = table[prefix + score]
            errors = [values - table[f"{prefix}{score}_low"], table[f"{prefix}{score}_high"] - values]
            axes.errorbar(
                table["depth"] + offset,
                values,
                yerr=np.maximum(errors, 0),
                color=colour,
                marker=marker,
                linestyle=style,
                markersize=4.5,
                linewidth=1.2,
                elinewidth=0.8,
                label=label,
            )
        axes.axhline(table[constant].iloc[0], color=GREY, linewidth=1, zorder=1, label="always the commonest class")
        # Room for the areas' names below all bars.
        axes.margins(y=0.13)
        axes.set(ylabel=score.replace("_", " ").capitalize(), xlim=(0.5, len(table) + 0.5))
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        tidy(axes)
    panels[1].set_xticks(table["depth"], table["module"], rotation=30, ha="right", fontsize=8)
    panels[1].set_xlabel("Module, from the input on")
    figure.legend(
        *panels[0].get_legend_handles_labels(), frameon=False, fontsize=8, ncols=2, loc="outside lower center"
    )
    first = table.iloc[0]
    title(
        figure,
        "What a linear probe reads off each layer",
        f"n = {first['n_test']} test sheets, {first['n_train']} for fitting, bars: 95% intervals · data: {data_source}",
    )
    return figure


def _shade_areas(axes: Axes, table: pd.DataFrame) -> None:
    for area, depths in table.groupby("area", sort=False)["depth"]:
        low, high = depths.min() - 0.5, depths.max() + 0.5
        axes.axvspan(low, high, color=_SHADES[area], linewidth=0, zorder=0)
        axes.text(
            (low + high) / 2,
            0.02,
            {"features": "feature extractor"}.get(area, area),
            transform=axes.get_xaxis_transform(),
            ha="center",
            fontsize=8,
            color=GREY,
        )


def layer_embedding(points: pd.DataFrame, numbers: pd.DataFrame, outputs: Sequence[str], *, data_source: str) -> Figure:
    """Draw the sheets as each module sees them, a panel a module, a colour and a marker a class.

    Args:
        points: Of ``inspection.embedding.layer_embedding``.
        numbers: Of the same; neighbours' balanced accuracy and silhouette stand above each panel.
        outputs: Names of the classes 0..K-1.
        data_source: Named under the title.
    """
    rows = -(-len(numbers) // _COLUMNS)
    below = 0.15 + _LINE * -(-len(outputs) // _NAMES)
    width, height = _COLUMNS * _TILE, rows * (_TILE + 0.3) + _TOP + below
    layout = ConstrainedLayoutEngine(rect=(0, below / height, 1, 1 - (_TOP + below) / height), h_pad=0.07)
    figure = Figure(figsize=(width, height), layout=layout, dpi=150)
    panels = figure.subplots(rows, _COLUMNS, squeeze=False).ravel()
    for axes in panels[len(numbers) :]:
        axes.set_axis_off()
    for axes, (_, found) in zip(panels, numbers.iterrows(), strict=False):
        _draw_points(axes, points[points["module"] == found["module"]])
        silhouette = "undefined" if pd.isna(found["silhouette"]) else f"{found['silhouette']:.2f}"
        neighbours = f"{found['k']} neighbours {found['knn_balanced_accuracy']:.0%}"
        axes.set_title(f"{found['module']}\n{neighbours} · silhouette {silhouette}", fontsize=8)
    handles = [
        Line2D([], [], linestyle="", color=_colour(k), marker=_MARKERS[k % len(_MARKERS)], markersize=5, label=name)
        for k, name in enumerate(outputs)
    ]
    figure.legend(handles=handles, loc="lower center", ncols=_NAMES, frameon=False, fontsize=8)
    first = numbers.iloc[0]
    about = (
        f"t-SNE; above each panel, before t-SNE: balanced accuracy of the nearest neighbours, silhouette · "
        f"n = {first['n']} test sheets · data: {data_source}"
    )
    figure.text(0.1 / width, 1 - 0.25 / height, "Test sheets as each layer sees them", fontsize=12, fontweight="bold")
    figure.text(0.1 / width, 1 - 0.48 / height, about, fontsize=9, color=GREY)
    return figure


def _draw_points(axes: Axes, points: pd.DataFrame) -> None:
    # Rare classes last, so that common ones do not cover them.
    for k in points["label"].value_counts().index:
        part = points[points["label"] == k]
        axes.scatter(
            part["x"],
            part["y"],
            s=11,
            color=_colour(k),
            marker=_MARKERS[k % len(_MARKERS)],
            linewidths=0.3,
            edgecolors="white",
        )
    axes.set(xticks=[], yticks=[], box_aspect=1)
    axes.spines[:].set_color("#BBBBBB")


def _colour(k: int) -> str:
    return COLOURS[k % len(COLOURS)]
