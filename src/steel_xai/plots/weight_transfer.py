"""The figure of what one model's weights are worth to another."""

from typing import Any

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.style import BLUE, GREY, ORANGE, PANEL, SKY, tidy

_AREAS = {"features": (SKY, "feature extractor"), "classifier": (ORANGE, "classifier")}
_SCORES = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "f1": "F1"}
_NOTHING, _RANDOM = "none", "random"
_OTHER: dict[str, Any] = {"color": BLUE, "linestyle": "-", "marker": "o", "markersize": 4.5}
_CONTROL: dict[str, Any] = {"color": GREY, "linestyle": "--", "marker": "s", "markersize": 4.5}


def weight_transfer(transfer: pd.DataFrame, similarity: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw the scores of each model against the modules that the other's weights replace, above the layers' likeness.

    Args:
        transfer: Rows of ``weight_transfer.transfer_weights``.
        similarity: Rows of ``similarity.compare_layers``.
        data_source: Named under the title.
    """
    receivers = list(transfer["receiver"].unique())
    height = (len(_SCORES) + 1) * 0.62 * PANEL + 1.2
    figure = Figure(figsize=(5.2 * len(receivers), height), layout="constrained", dpi=150)
    panels = figure.subplots(len(_SCORES) + 1, len(receivers), sharex="col", sharey="row", squeeze=False)
    for column, receiver in enumerate(receivers):
        curves = transfer[transfer["receiver"] == receiver]
        steps = curves.drop_duplicates("step").sort_values("step")
        for axes, score in zip(panels[:-1, column], _SCORES, strict=True):
            _draw_scores(axes, curves, score)
        _draw_similarity(panels[-1, column], similarity, steps, receiver)
        for axes in panels[:, column]:
            _shade_areas(axes, steps)
            axes.set_ylim(-0.05, 1.05)
            tidy(axes)
        names = ["nothing" if name == _NOTHING else name for name in steps["module"]]
        panels[-1, column].set_xticks(steps["step"], names, rotation=45, ha="right", fontsize=8)
        panels[-1, column].set_xlabel("Weights replaced from the input up to this module")
        (donor,) = set(curves["donor"]) - {_RANDOM}
        n = f"n = {curves['n'].iloc[0]} test sheets of {receiver} that {donor} was not trained on"
        panels[0, column].set_title(f"{donor} weights in the {receiver} model\n", loc="left", fontsize=10)
        panels[0, column].text(0, 1.03, n, transform=panels[0, column].transAxes, fontsize=8, color=GREY)
        _name_areas(panels[0, column], steps)
    for axes, label in zip(panels[:, 0], [*_SCORES.values(), "Linear CKA"], strict=True):
        axes.set_ylabel(label)
        if label != "Linear CKA":
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
    figure.legend(handles=_legend(transfer), frameon=False, fontsize=8, ncols=3, loc="outside upper right")
    figure.suptitle("Weight transfer and layer similarity", fontweight="bold", x=0.01, ha="left")
    sheets = similarity["n"].iloc[0]
    figure.supxlabel(
        f"CKA on {sheets} sheets in neither training split · bands: 95% intervals · data: {data_source}",
        fontsize=9,
        color=GREY,
        x=0.01,
        ha="left",
    )
    return figure


def _draw_scores(axes: Axes, curves: pd.DataFrame, score: str) -> None:
    for donor, rows in curves.groupby("donor"):
        look = _CONTROL if donor == _RANDOM else _OTHER
        axes.fill_between(rows["step"], rows[f"{score}_low"], rows[f"{score}_high"], **_band(look))
        axes.plot(rows["step"], rows[score], **{**look, "marker": ""})
        for is_kept, marked in rows.groupby(rows["treatment"] == "kept"):
            face = "white" if is_kept else look["color"]
            axes.plot(marked["step"], marked[score], **{**look, "linestyle": "", "markerfacecolor": face})


def _draw_similarity(axes: Axes, similarity: pd.DataFrame, steps: pd.DataFrame, receiver: str) -> None:
    of_receiver = similarity[(similarity["first"] == receiver) | (similarity["second"] == receiver)]
    is_control = (of_receiver[["first", "second"]] == _RANDOM).any(axis=1)
    for look, rows in ((_CONTROL, of_receiver[is_control]), (_OTHER, of_receiver[~is_control])):
        drawn = steps[["step", "module"]].merge(rows, on="module").sort_values("step")
        axes.fill_between(drawn["step"], drawn["low"], drawn["high"], **_band(look))
        axes.plot(drawn["step"], drawn["cka"], **look)


def _band(look: dict[str, Any]) -> dict[str, Any]:
    return {"color": look["color"], "alpha": 0.18, "linewidth": 0}


def _legend(transfer: pd.DataFrame) -> list[Line2D]:
    handles = [
        Line2D([], [], **_OTHER, label="the other model"),
        Line2D([], [], **_CONTROL, label="random weights (control)"),
    ]
    if (transfer["treatment"] == "kept").any():
        kept = {**_OTHER, "linestyle": "", "markerfacecolor": "white"}
        handles.append(Line2D([], [], **kept, label="own layer kept, the other's does not fit"))
    return handles


def _shade_areas(axes: Axes, steps: pd.DataFrame) -> None:
    for area, (colour, _) in _AREAS.items():
        inside = steps.loc[steps["area"] == area, "step"]
        if len(inside):
            axes.axvspan(inside.min() - 0.5, inside.max() + 0.5, color=colour, alpha=0.12, lw=0, zorder=0)
    axes.set_xlim(-0.5, steps["step"].max() + 0.5)


def _name_areas(axes: Axes, steps: pd.DataFrame) -> None:
    place: dict[str, Any] = {"ha": "center", "va": "top", "transform": axes.get_xaxis_transform()}
    for area, (_, name) in _AREAS.items():
        inside = steps.loc[steps["area"] == area, "step"]
        if len(inside):
            axes.text(inside.mean(), 0.98, name, fontsize=8, **place)
