"""Figures of the cascade: what each step changes on sheets, and what it gains."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from numpy.typing import NDArray

from steel_xai.plots.strips import Block, Strip, draw_strips, grey
from steel_xai.plots.style import BLUE, COLOURS, GREY, tidy

SETUP_NAMES = {
    "empty": "nothing found anywhere",
    "unets": "U-Nets alone",
    "gate_unets": "gate, U-Nets",
    "labels_unets": "labels, U-Nets",
    "gate_labels_unets": "gate, labels, U-Nets",
}

_GAINS = {"gate_unets": "gate", "labels_unets": "labels", "gate_labels_unets": "gate_and_labels"}
"""Set-ups with their gain over the U-Nets alone."""

_OPACITY = 0.6


def cascade_examples(
    captions: Sequence[str],
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    predicted: Mapping[str, NDArray[np.bool_]],
    class_names: Sequence[str],
    *,
    about: str,
    data_source: str,
) -> Figure:
    """Draw sheets with the outlines of their true masks, and below each the masks of every set-up.

    Args:
        captions: Of the N sheets.
        sheets: Greyscale ``[N, h, w]``.
        truth: Masks ``[N, K, h, w]``.
        predicted: Masks ``[N, K, h, w]`` by set-up.
        class_names: The K classes, each of a colour of its own.
        about: How the sheets were chosen.
        data_source: Named under the title.
    """
    colours = COLOURS[: len(class_names)]
    blocks = []
    for i, caption in enumerate(captions):
        outlines = list(zip(truth[i], colours, strict=True))
        strips = [Strip("sheet, true masks", grey(sheets[i]), outlines)]
        for setup, masks in predicted.items():
            strips.append(Strip(SETUP_NAMES[setup], _tint(sheets[i], masks[i], colours), outlines))
        blocks.append(Block(caption, strips))
    figure = draw_strips([("", blocks)], "What each step of the cascade changes", f"{about} · data: {data_source}")
    height = figure.get_size_inches()[1]
    figure.legend(
        handles=[Patch(color=colour, label=name) for name, colour in zip(class_names, colours, strict=True)],
        title="outline: true mask, filled: predicted · *: class passes the label step",
        title_fontsize=7.5,
        loc="center",
        bbox_to_anchor=(0.5, 0.33 / height),
        frameon=False,
        fontsize=7.5,
        ncols=4,
    )
    return figure


def cascade_scores(metrics: Mapping[str, Any]) -> Figure:
    """Draw each set-up's mean Dice with its 95 % interval, and its gain over the U-Nets alone in pairs.

    Args:
        metrics: As ``cascade.metrics.measure_cascade`` returns them.
    """
    setups = metrics["setups"]
    order = [name for name in SETUP_NAMES if name in setups]
    figure = Figure(figsize=(10.4, 1.7 + 0.42 * len(order)), layout="constrained", dpi=150)
    panels = figure.subplots(1, 3, sharey=True)
    for place, name in enumerate(order):
        for axes, kind in zip(panels, ("all_sheets", "sheets_with_class"), strict=False):
            _draw(axes, setups[name]["dice"][kind]["mean"], place)
        if name in _GAINS:
            _draw(panels[2], metrics["gains"][_GAINS[name]]["dice_all_sheets"], place, "{:+.3f}")
    with_class = setups[order[0]]["dice"]["sheets_with_class"]["mean"]["n"]
    panels[0].set_xlabel("Dice, all test sheets\n(Kaggle: 1 where neither there nor found)")
    panels[1].set_xlabel(f"Dice, sheets with a defect (n = {with_class}),\nmean over their own classes")
    panels[2].set_xlabel("Gain in Dice over the U-Nets alone,\nall test sheets, in pairs")
    panels[2].axvline(0, color=GREY, linewidth=0.8)
    for axes in panels:
        tidy(axes)
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)
        axes.tick_params(axis="y", length=0)
        axes.margins(x=0.12)
    panels[0].set(yticks=range(len(order)), ylim=(len(order) - 0.4, -0.75))
    panels[0].set_yticklabels([_label(name, setups[name]) for name in order], fontsize=9)
    figure.suptitle("What gate and label step gain", fontweight="bold", x=0.01, ha="left")
    figure.text(
        0.99, 0.985, f"95% intervals over n = {metrics['n_test']} test sheets · data: {metrics['data_source']}",
        fontsize=9, color=GREY, ha="right", va="top",
    )  # fmt: skip
    return figure


def _label(name: str, setup: Mapping[str, Any]) -> str:
    cost = setup.get("ms_per_sheet")
    return SETUP_NAMES[name] + ("" if cost is None else f"\n{cost:.1f} ms a sheet")


def _draw(axes: Axes, score: Mapping[str, Any], place: int, form: str = "{:.3f}") -> None:
    if score["mean"] is None:
        return
    axes.hlines(place, score["low"], score["high"], color=BLUE, linewidth=1.6)
    axes.plot(score["mean"], place, "o", color=BLUE, markersize=5)
    axes.annotate(
        form.format(score["mean"]), (score["mean"], place), (0, 6), textcoords="offset points", ha="center", fontsize=8
    )


def _tint(sheet: NDArray[np.uint8], masks: NDArray[np.bool_], colours: Sequence[str]) -> NDArray[np.float64]:
    """Lay the classes' colours over a sheet ``[h, w]`` where they are found, the mean of several: ``[h, w, 3]``."""
    palette = np.array([to_rgb(colour) for colour in colours])
    count = masks.sum(axis=0)[:, :, None]
    colour = np.einsum("khw,kc->hwc", masks.astype(float), palette) / np.maximum(count, 1)
    return np.asarray(np.where(count > 0, (1 - _OPACITY) * grey(sheet) + _OPACITY * colour, grey(sheet)))
