"""Figures of the audit: what P looks like with and without an attribute, and what pasting and removing it does."""

from collections.abc import Mapping, Sequence
from math import ceil
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator
from numpy.typing import NDArray

from steel_xai.plots.attribution import method_name
from steel_xai.plots.strips import Block, Strip, draw_strips, full_scale, grey, outline_legend, overlay, scale_bar
from steel_xai.plots.style import BLUE, GREY, PANEL, SKY, VERMILION, YELLOW, tidy, title

_JITTER = 0.2
"""Points are scattered by this share of the distance between two rows."""

_DECADES = 6
"""Powers of ten that are marked at most."""

_KINDS = {
    "stain": ("white stains", VERMILION, "o", "-"),
    "plain patch": ("control: plain steel of the same shape", BLUE, "s", "--"),
}


def attribute_distributions(table: pd.DataFrame, record: Mapping[str, Any], *, data_source: str) -> Figure:
    """Draw an output's probability on defect-free sheets with and without an attribute, all drawn and matched ones.

    The axis is even in log-odds, so that differences near 0 and 1 are seen. Boxes are quartiles, their line the median.

    Args:
        table: The sheets that ``stain_audit.audit`` returns.
        record: What it returns beside them.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(9.6, PANEL + 0.2), layout="constrained", dpi=150)
    panels = figure.subplots(1, 2, sharex=True)
    _draw_comparison(panels, table, record)
    heading = f'Do {record["name"]} go with a higher P("{record["output"]}") of defect-free sheets?'
    title(
        figure,
        heading,
        f"verdict: {record['verdict']} · test sheets without a defect · data: {data_source}\n\n"
        + panels[0].get_title(loc="left"),
    )
    return figure


def distributions_by_attribute(
    comparisons: Sequence[tuple[pd.DataFrame, Mapping[str, Any]]], *, data_source: str
) -> Figure:
    """Draw the same for several attributes, a row each.

    Args:
        comparisons: Sheets and record of each attribute, as ``stain_audit.audit`` returns them; at least one.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(9.6, PANEL * len(comparisons) + 0.4), layout="constrained", dpi=150)
    rows = figure.subplots(len(comparisons), 2, sharex="row", squeeze=False)
    for panels, (table, record) in zip(rows, comparisons, strict=True):
        _draw_comparison(panels, table, record)
        about = f"{record['name']}, verdict: {record['verdict']}\n{panels[0].get_title(loc='left')}"
        panels[0].set_title(about, fontsize=9, color=GREY, loc="left")
    title(
        figure,
        "Do attributes of sheets go with the output that they are suspected to speak for?",
        f"test sheets without a defect · data: {data_source}\n\n" + rows[0][0].get_title(loc="left"),
    )
    return figure


def dose_response(table: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw how far pasted stains shift P(no defect), against the area of one and against their number.

    Args:
        table: Rows ``series`` (``area``, ``number``), ``kind`` (``stain``, ``plain patch``), ``n_stains``,
            ``area_share`` of the sheet, ``median_shift, low, high, n``, as ``dose.measure_dose_response`` returns them.
            The figure says so if there are none.
        data_source: Named under the title.
    """
    # An empty table that was read from a file has no types.
    table = table.astype(dict.fromkeys(("n_stains", "area_share", "median_shift", "low", "high"), float))
    figure = Figure(figsize=(9.2, PANEL + 0.2), layout="constrained", dpi=150)
    by_area, by_number = figure.subplots(1, 2, sharey=True)
    for kind, (label, colour, marker, style) in _KINDS.items():
        for axes, series, x in ((by_area, "area", "area_share"), (by_number, "number", "n_stains")):
            of = table[(table["kind"] == kind) & (table["series"] == series)].sort_values(x)
            axes.fill_between(of[x], of["low"], of["high"], color=colour, alpha=0.18, linewidth=0)
            axes.plot(of[x], of["median_shift"], style, color=colour, marker=marker, markersize=5, label=label)
    for axes in (by_area, by_number):
        axes.axhline(0, color=GREY, linewidth=0.8)
        axes.tick_params(labelleft=True)
        tidy(axes)
    by_area.set(xlabel="Area of one cluster of stains (share of the sheet)", ylabel="Median shift of P(no defect)")
    by_area.set_xlim(left=0)
    by_area.xaxis.set_major_formatter(lambda share, _: f"{100 * share:g}%")
    by_number.set_xlabel("Number of clusters of stains")
    by_number.xaxis.set_major_locator(MaxNLocator(integer=True))
    figure.legend(*by_area.get_legend_handles_labels(), frameon=False, fontsize=8, loc="outside lower center", ncols=2)
    about = f"not testable: too few defective test sheets · data: {data_source}"
    if len(table):
        n = table["n"].iloc[0]
        about = f"the same n = {n} defective test sheets at every dose, bands: 95% intervals · data: {data_source}"
    title(figure, "More stain, more certainty of no defect?", about)
    return figure


def before_and_after(
    changes: pd.DataFrame,
    before: NDArray[np.uint8],
    after: NDArray[np.uint8],
    changed: NDArray[np.bool_],
    truth: NDArray[np.bool_],
    maps: NDArray[np.float32],
    classes: NDArray[np.integer],
    outputs: Sequence[str],
    *,
    method: str,
    data_source: str,
) -> Figure:
    """Draw sheets before and after a change, side by side, and under each the maps of some outputs.

    Args:
        changes: N rows ``image_id, label, change`` (what was done, in words), ``p_before, p_after`` of output 0.
        before: Greyscale ``[N, h, w]``.
        after: The same after the change.
        changed: Pixels that were changed ``[N, h, w]``.
        truth: Masks of the defects ``[N, h, w]``; an empty one has no outline.
        maps: Signed relevance ``[N, 2, M, h, w]``, before and after, of M outputs; those of one sheet share a scale.
        classes: Which outputs these are, ``[N, M]``.
        outputs: Names of all outputs.
        method: Whose maps these are.
        data_source: Named under the title.
    """
    sections = []
    for i, row in enumerate(changes.to_dict("records")):
        scale = full_scale(maps[i])
        blocks = []
        states = (("before", before[i], row["p_before"]), ("after", after[i], row["p_after"]))
        for (state, sheet, probability), of_state in zip(states, maps[i], strict=True):
            # The change itself is small; its outline would hide it.
            strips = [Strip("sheet", grey(sheet), [(truth[i], YELLOW)])]
            for relevance, k in zip(of_state, classes[i], strict=True):
                outlines = [(truth[i], YELLOW), (changed[i], SKY)]
                strips.append(Strip(outputs[k], overlay(sheet, relevance / scale), outlines))
            blocks.append(Block(f'{state}: P("{outputs[0]}") {_percent(probability)}', strips))
        sections.append((f"{row['image_id']} ({outputs[row['label']]}): {row['change']}", blocks))
    about = f"{method_name(method)}, one scale a sheet · n = {len(changes)} sheets · data: {data_source}"
    figure = draw_strips(sections, "Before and after", about)
    scale_bar(figure, ("inhibits", "excites"), signed=True)
    outline_legend(figure, {"true mask": YELLOW, "changed pixels": SKY})
    return figure


def _draw_comparison(panels: Sequence[Axes], table: pd.DataFrame, record: Mapping[str, Any]) -> None:
    """Draw all drawn sheets, and beside them those of like brightness."""
    # An empty table that was read from a file has no types.
    table = table.astype({"drawn": bool, "attributed": bool, "pair": int, "log_odds": float})
    parts: list[tuple[str, pd.DataFrame, Mapping[str, Any]]] = [
        ("All drawn", table[table["drawn"]], record),
        ("Of like brightness", table[table["pair"] >= 0], record["matched"]),
    ]
    for axes, (heading, part, result) in zip(panels, parts, strict=True):
        _draw_groups(axes, part, record["name"])
        axes.set_title(f"{heading}\n{_test_in_words(result)}", fontsize=9, color=GREY, loc="left")
        axes.set_xlabel(f'P("{record["output"]}"), on a scale of log-odds')
    if len(table):
        _mark_probabilities(panels[0], table["log_odds"].to_numpy())


def _draw_groups(axes: Axes, part: pd.DataFrame, name: str) -> None:
    """Draw every sheet as a point, with a box of its group's quartiles."""
    rng = np.random.default_rng(0)
    labels = []
    for place, (attributed, colour) in enumerate(((True, VERMILION), (False, BLUE))):
        values = part.loc[part["attributed"] == attributed, "log_odds"].to_numpy()
        labels.append(f"{'with' if attributed else 'without'}\n{name}\nn = {len(values)}")
        if not len(values):
            continue
        axes.boxplot(
            values,
            positions=[place],
            orientation="horizontal",
            widths=0.6,
            showfliers=False,
            showcaps=False,
            whis=0,
            patch_artist=True,
            boxprops={"facecolor": colour, "alpha": 0.2, "linewidth": 0},
            medianprops={"color": "black", "linewidth": 1.5},
            zorder=1,
        )
        heights = place + rng.uniform(-_JITTER, _JITTER, len(values))
        axes.scatter(values, heights, s=14, color=colour, alpha=0.7, linewidths=0, zorder=2)
    axes.set_yticks(range(len(labels)), labels, fontsize=8)
    axes.set_ylim(1.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.tick_params(axis="x", labelsize=8)
    tidy(axes)
    axes.grid(visible=False, axis="y")
    axes.grid(axis="x", color="#DDDDDD", linewidth=0.6)


def _mark_probabilities(axes: Axes, log_odds: NDArray[np.floating]) -> None:
    """Write probabilities at even distances in log-odds."""
    low_end, high_end = float(log_odds.min()), float(log_odds.max())
    furthest = ceil(max(abs(low_end), abs(high_end)) / np.log(10)) + 1
    step = max(1, ceil((high_end - low_end) / np.log(10) / _DECADES))
    powers = range(step, furthest + 1, step)
    low = [(-np.log(10.0**k - 1), f"{10.0**-k:g}" if k < 4 else f"$10^{{-{k}}}$") for k in reversed(powers)]
    high = [(np.log(10.0**k - 1), f"{1 - 10.0**-k:g}" if k < 4 else f"$1-10^{{-{k}}}$") for k in powers]
    margin = 0.04 * (high_end - low_end) + 0.3
    limits = low_end - margin, high_end + margin
    ticks = [tick for tick in (*low, (0.0, "0.5"), *high) if limits[0] <= tick[0] <= limits[1]]
    axes.set_xticks([place for place, _ in ticks], [name for _, name in ticks])
    axes.xaxis.set_minor_locator(NullLocator())
    axes.set_xlim(limits)


def _test_in_words(result: Mapping[str, Any]) -> str:
    if not result["testable"]:
        return "not testable, too few sheets"
    low, high = result["effect_low"], result["effect_high"]
    return f"effect size {result['effect_size']:+.2f} [{low:+.2f}, {high:+.2f}], one-sided p = {result['p_value']:.2g}"


def _percent(probability: float) -> str:
    if probability > 0.9995:
        return "> 99.9%"
    return "< 0.1%" if probability < 0.0005 else f"= {probability:.1%}"
