"""The figure of whether explanations are faithful to the network."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.attribution import method_name
from steel_xai.plots.style import GREY, PANEL, line, tidy, title

_RANDOM = "random"
_MARKERS = "os^DvX<P>"
_LABELS = {"deletion": "Pixels deleted, strongest evidence first", "insertion": "Pixels inserted, strongest first"}


def attribution_faithfulness(curves: pd.DataFrame, randomisation: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw the target's probability as pixels go or come, and what randomised layers leave of the maps.

    Each method keeps its colour, line and marker in all panels. A faithful one falls below the random order on
    deletion, rises above it on insertion, and loses its map as layers are randomised. What is compared there is the
    evidence, as in masks and scores, and not the signed map.

    Args:
        curves: Points of ``attribution.faithfulness.insertion_deletion``; means over the images are drawn.
        randomisation: Rows of ``attribution.faithfulness.cascading_randomisation``, for some or all methods of the
            curves; bars are its intervals. It is empty where no method uses gradients.
        data_source: Named under the title.
    """
    heights = [1.0, 1.0 if len(randomisation) else 0.15]
    figure = Figure(figsize=(9.6, sum(heights) * PANEL), layout="constrained", dpi=150)
    panels = figure.subplot_mosaic(
        [["deletion", "insertion"], ["randomisation", "randomisation"]], height_ratios=heights
    )
    methods = [method for method in curves["method"].unique() if method != _RANDOM]
    for curve, label in _LABELS.items():
        _draw_curves(panels[curve], curves[curves["curve"] == curve], methods)
        panels[curve].set(xlabel=label, ylabel="Probability of the target")
    _draw_randomisation(panels["randomisation"], randomisation, methods)
    handles, labels = panels["deletion"].get_legend_handles_labels()
    figure.legend(handles, labels, frameon=False, fontsize=8, handlelength=3.5, loc="outside right upper")
    about = f"n = {curves['image'].nunique()} sheets"
    if len(randomisation):
        about += f", under randomisation {int(randomisation['evidence_correlation_n'].max())}"
    about += f" · data: {data_source}"
    title(figure, "Faithfulness of the explanations", about)
    return figure


def _draw_curves(axes: Axes, points: pd.DataFrame, methods: Sequence[str]) -> None:
    means = points.groupby(["method", "share"])["probability"].mean()
    for k, method in enumerate(methods):
        curve = means[method]
        # Markers of the methods take turns along the curves, so that they do not hide one another.
        every = max(1, len(curve) // 5)
        axes.plot(curve.index, curve, **_look(k), markevery=(k % every, every), label=method_name(method))
    curve = means[_RANDOM]
    axes.plot(curve.index, curve, color=GREY, linewidth=3, alpha=0.5, zorder=1, label="random order")
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(PercentFormatter(1, decimals=0))
    axes.set_xlim(0, 1)
    tidy(axes)


def _draw_randomisation(axes: Axes, table: pd.DataFrame, methods: Sequence[str]) -> None:
    if table.empty:
        axes.text(0.5, 0.5, "No method here uses gradients: none was explained again.", ha="center", color=GREY)
        axes.set_axis_off()
        return
    layers = table.drop_duplicates("depth").sort_values("depth")
    for method, rows in table.sort_values("depth").groupby("method"):
        k = methods.index(method)
        look = _look(k)
        depth, correlation = rows["depth"] + 0.5 * ((k + 0.5) / len(methods) - 0.5), rows["evidence_correlation"]
        errors = [correlation - rows["evidence_correlation_low"], rows["evidence_correlation_high"] - correlation]
        axes.errorbar(depth, correlation, yerr=errors, **look, elinewidth=0.6)
        axes.plot([0, depth.iloc[0]], [1, correlation.iloc[0]], **{**look, "marker": None})
    axes.axhline(0, color=GREY, linewidth=0.8)
    axes.set_xticks([0, *layers["depth"]], ["none", *layers["layer"]], rotation=30, ha="right", fontsize=8)
    axes.set(
        xlabel="Randomised from the head down to this layer",
        ylabel="Rank correlation of the evidence\nwith the trained network's",
    )
    tidy(axes)


def _look(k: int) -> dict[str, Any]:
    colour, style = line(k)
    marker = _MARKERS[k % len(_MARKERS)]
    return {"color": colour, "linestyle": style, "linewidth": 1.2, "marker": marker, "markersize": 4.5}
