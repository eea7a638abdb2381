"""The figure that ranks attribution methods."""

from collections.abc import Mapping
from typing import Any

import numpy as np
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

    A method's network of random weights is drawn in the method's own row, and so is what the study reports of it. The
    random network explains fewer sheets, so that its mean is of other sheets than the method's; what is drawn is the
    method's mean minus its paired gain over that network. A name is marked where the method does not beat it. Gains of
    fewer sheets do not widen the axis of the others' gains: an arrow says that an interval goes on.

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
    left, right = _range(ranked[ranked.index != control])
    for place, (name, row) in enumerate(ranked.iterrows()):
        marker, colour = ("o", BLUE) if row["kind"] == "method" else ("s", ORANGE)
        _draw_mean(scores, place, row, "dice", marker, colour)
        if name != control:
            _draw_mean(gains, place, row, "gain", marker, colour)
            _mark_cut_ends(gains, place, row, (left, right), colour)
        if pd.notna(row["random_network_gain"]):
            scores.plot(row["dice"] - row["random_network_gain"], place, "x", color=GREY, markersize=6)
        if name in study:
            scores.plot(study[name], place, "D", color="black", markerfacecolor="none", markersize=6)
    if control in ranked.index:
        scores.axvline(ranked.loc[control, "dice"], color=ORANGE, linestyle="--", linewidth=1, zorder=0)
    gains.axvline(0, color=ORANGE, linestyle="--", linewidth=1, zorder=0)
    _label_rows(scores, ranked)
    gains.tick_params(axis="y", length=0)
    gains.set_xlim(left, right)
    scores.set_xlabel("Dice (mean over sheets, 95% interval)")
    scores.set_xlim(left=min(0.0, float((ranked["dice"] - ranked["random_network_gain"]).min()) - 0.02))
    gains.set_xlabel(f"Paired gain in Dice over\n{method_name(control).lower()} (95% interval)")
    for axes in (scores, gains):
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
    n_random = int(by_name.loc[is_random, "n"].max()) if is_random.any() else 0
    _write_legend(figure, scores, control, study=bool(set(study) & set(ranked.index)), n_random=n_random)
    sheets = f"n = {ranked['n'].max()} test sheets with a defect · data: {data_source}"
    title(figure, "Attribution as segmentation", f"{_thresholds(ranked['k_chosen_on'])} · {sheets}")
    return figure


def _draw_mean(axes: Axes, place: int, row: pd.Series, column: str, marker: str, colour: str) -> None:
    axes.hlines(place, row[f"{column}_low"], row[f"{column}_high"], color=colour, linewidth=2)
    axes.plot(row[column], place, marker, color=colour, markersize=6)


def _range(ranked: pd.DataFrame) -> tuple[float, float]:
    """Choose the ends of the axis of gains: intervals of the rows of most sheets fit, and so does 0."""
    most = ranked.loc[ranked["n"] == ranked["n"].max(), ["gain", "gain_low", "gain_high"]].to_numpy(float)
    values = np.append(most[np.isfinite(most)], 0.0)
    low, high = values.min(), values.max()
    margin = 0.08 * (high - low) or 0.1
    return float(low - margin), float(high + margin)


def _mark_cut_ends(axes: Axes, place: int, row: pd.Series, ends: tuple[float, float], colour: str) -> None:
    """Draw an arrow where an interval goes on beyond the axis, with the value where it ends, or where the mean is."""
    for limit, side, sign in ((ends[0], "low", -1), (ends[1], "high", 1)):
        values = {"mean": row["gain"], "to": row[f"gain_{side}"]}
        beyond = [f"{name} {value:+.2f}" for name, value in values.items() if sign * value > sign * limit]
        if beyond:
            axes.plot(limit, place, "<" if sign < 0 else ">", color=colour, markersize=6, clip_on=False)
            text = ", ".join(beyond).replace("-", "\N{MINUS SIGN}")
            look: dict[str, Any] = {"fontsize": 7, "color": GREY, "ha": "left" if sign < 0 else "right"}
            axes.annotate(text, (limit, place), (-7 * sign, 3), textcoords="offset points", **look)


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


def _write_legend(figure: Figure, axes: Axes, control: str, *, study: bool, n_random: int) -> None:
    axes.plot([], [], "o-", color=BLUE, linewidth=2, label="method")
    axes.plot([], [], "s-", color=ORANGE, linewidth=2, label=f"control; dashed: {method_name(control).lower()}")
    if n_random:
        about = f"method minus its paired gain over random weights (n = {n_random})"
        axes.plot([], [], "x", color=GREY, linestyle="", label=about)
        axes.plot([], [], " ", label="† does not beat its random network")
    if study:
        axes.plot([], [], "D", color="black", markerfacecolor="none", label="study (Severstal sheets)")
    figure.legend(*axes.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower left", ncols=3)


def _thresholds(chosen_on: pd.Series) -> str:
    sources = {"study": "of the study", "validation": "chosen on validation sheets"}
    return "mask: map above mean + k sd, k " + " or ".join(sources[name] for name in sorted(chosen_on.unique()))


def _is_false(value: object) -> bool:
    return bool(pd.notna(value)) and not value
