"""The figure that ranks attribution methods."""

from collections.abc import Mapping

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from steel_xai.plots.style import BLUE, GREY, ORANGE, tidy, title

_ROW = 0.3
"""Height in inches of one method's row."""

_RANDOM_NETWORK = "_random_network"

_NAMES = {
    "deeplift": "DeepLift",
    "deepshap": "DeepShap",
    "gradcam": "GradCAM",
    "guided_gradcam": "Guided GradCAM",
    "guided_backprop": "Guided backprop",
    "integrated_gradients": "Integrated gradients",
    "lime": "LIME",
    "layercam": "LayerCAM",
    "hirescam": "HiResCAM",
    "median_deviation": "|pixel - median|",
}


def method_name(method: str) -> str:
    """Write a method's name as its paper does."""
    return _NAMES.get(method, method.replace("_", " ").capitalize())


def attribution_ranking(
    table: pd.DataFrame, *, study: Mapping[str, float], data_source: str, control: str = "local_contrast"
) -> Figure:
    """Draw mean Dice of methods and controls, best first, and their paired gain over one control.

    A method's network of random weights is drawn in the method's own row, and so is what the study reports of it. A
    name is marked where the method does not beat its random network.

    Args:
        table: What ``attribution_scores.score_table`` returns.
        study: The study's Dice of the methods that it has.
        data_source: Named under the title.
        control: That the gains are measured against.
    """
    by_name = table.set_index("method")
    is_random = by_name.index.str.endswith(_RANDOM_NETWORK)
    ranked = by_name[~is_random].sort_values("dice", ascending=False, kind="stable")
    figure = Figure(figsize=(9.2, 2.1 + _ROW * len(ranked)), layout="constrained", dpi=150)
    scores, gains = figure.subplots(1, 2, sharey=True, width_ratios=[1.5, 1])
    for place, (name, row) in enumerate(ranked.iterrows()):
        marker, colour = ("o", BLUE) if row["kind"] == "method" else ("s", ORANGE)
        _draw_mean(scores, place, row, "dice", marker, colour)
        if name != control:
            _draw_mean(gains, place, row, "gain", marker, colour)
        if f"{name}{_RANDOM_NETWORK}" in by_name.index:
            scores.plot(by_name.loc[f"{name}{_RANDOM_NETWORK}", "dice"], place, "x", color=GREY, markersize=6)
        if name in study:
            scores.plot(study[name], place, "D", color="black", markerfacecolor="none", markersize=6)
    if control in ranked.index:
        scores.axvline(ranked.loc[control, "dice"], color=ORANGE, linestyle="--", linewidth=1, zorder=0)
    gains.axvline(0, color=ORANGE, linestyle="--", linewidth=1, zorder=0)
    _label_rows(scores, ranked)
    gains.tick_params(axis="y", length=0)
    scores.set_xlabel("Dice (mean over sheets, 95% interval)")
    scores.set_xlim(left=0)
    gains.set_xlabel(f"Paired gain in Dice over\n{method_name(control).lower()} (95% interval)")
    for axes in (scores, gains):
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    _write_legend(figure, scores, control, study=bool(set(study) & set(ranked.index)), random=bool(is_random.any()))
    sheets = f"n = {ranked['n'].max()} test sheets with a defect · data: {data_source}"
    title(figure, "Attribution as segmentation", f"{_thresholds(ranked['k_chosen_on'])} · {sheets}")
    return figure


def _draw_mean(axes: Axes, place: int, row: pd.Series, column: str, marker: str, colour: str) -> None:
    axes.hlines(place, row[f"{column}_low"], row[f"{column}_high"], color=colour, linewidth=2)
    axes.plot(row[column], place, marker, color=colour, markersize=6)


def _label_rows(axes: Axes, ranked: pd.DataFrame) -> None:
    """Name the rows; say which rest on fewer sheets, and which do not beat their random network."""
    labels = [
        method_name(name)
        + (f" (n = {row['n']})" if row["n"] < ranked["n"].max() else "")
        + (" †" if _is_false(row["beats_random_network"]) else "")
        for name, row in ranked.iterrows()
    ]
    axes.set_yticks(range(len(ranked)), labels)
    axes.set_ylim(len(ranked) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)


def _write_legend(figure: Figure, axes: Axes, control: str, *, study: bool, random: bool) -> None:
    axes.plot([], [], "o-", color=BLUE, linewidth=2, label="method")
    axes.plot([], [], "s-", color=ORANGE, linewidth=2, label=f"control; dashed: {method_name(control).lower()}")
    if random:
        axes.plot([], [], "x", color=GREY, label="same method, network of random weights")
        axes.plot([], [], " ", label="† does not beat its random network")
    if study:
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="study (Severstal sheets)")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower left", ncols=3)


def _thresholds(chosen_on: pd.Series) -> str:
    sources = {"study": "of the study", "validation": "chosen on validation sheets"}
    return "mask: map above mean + k sd, k " + " or ".join(sources[name] for name in sorted(chosen_on.unique()))


def _is_false(value: object) -> bool:
    return bool(pd.notna(value)) and not value
