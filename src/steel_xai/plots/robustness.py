"""Figures of how scores change when the sheets do."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import PercentFormatter

from steel_xai.plots.style import LINE_COLOURS, PANEL, tidy, title

_MARKERS = "os^Dv"


def noise_robustness(table: pd.DataFrame, *, data_source: str) -> Figure:
    """Draw accuracy and balanced accuracy against the noise, a line and a band for each training.

    Args:
        table: Rows as ``noise_robustness.measure_noise`` returns them; trainings differ in ``trained_with_noise``.
        data_source: Named under the title.
    """
    figure = Figure(figsize=(8.4, PANEL + 0.3), layout="constrained", dpi=150)
    for axes, score in zip(figure.subplots(1, 2, sharey=True), ("balanced_accuracy", "accuracy"), strict=True):
        for k, (noise, rows) in enumerate(table.sort_values("level").groupby("trained_with_noise")):
            colour = LINE_COLOURS[k % len(LINE_COLOURS)]
            axes.fill_between(
                rows["level"], rows[f"{score}_low"], rows[f"{score}_high"], color=colour, alpha=0.18, linewidth=0
            )
            axes.plot(
                rows["level"],
                rows[score],
                color=colour,
                marker=_MARKERS[k % len(_MARKERS)],
                markersize=4,
                label=f"trained with noise of {noise:g}" if noise else "trained without noise",
            )
        axes.set_ylabel(score.replace("_", " ").capitalize())
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.tick_params(labelleft=True)
        tidy(axes)
    figure.axes[0].legend(frameon=False, fontsize=8)
    figure.supxlabel("Standard deviation of the noise (normalised grey levels)", fontsize="medium")
    draws = table["repeats"].max()
    title(
        figure,
        "Robustness to noise",
        f"n = {table['n'].iloc[0]} test sheets, mean of {draws} draws, bands: 95% intervals · data: {data_source}",
    )
    return figure
