"""Colours, lines and lettering that all figures share.

Colours are those of Okabe and Ito (2008) and of cividis, which people with any colour vision tell apart.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

BLUE, VERMILION, GREEN, ORANGE = "#0072B2", "#D55E00", "#009E73", "#E69F00"
PURPLE, SKY, YELLOW, BLACK = "#CC79A7", "#56B4E9", "#F0E442", "#000000"
COLOURS = (BLUE, VERMILION, GREEN, PURPLE, ORANGE, SKY, BLACK, YELLOW)
LINE_COLOURS = COLOURS[:-1]
"""Without yellow, of which a line is hardly seen on white."""
LINE_STYLES = ("-", "--", ":")
"""A style for each round through the colours."""
GREY = "#666666"

PANEL = 3.6
"""Height in inches of one panel."""


def line(k: int) -> tuple[str, str]:
    """Choose colour and style of the k-th line, both together unlike those of the lines before."""
    turn, colour = divmod(k, len(LINE_COLOURS))
    return LINE_COLOURS[colour], LINE_STYLES[turn % len(LINE_STYLES)]


def sample(labels: Sequence[int] | np.ndarray | pd.Series, data_source: str) -> str:
    """Say how many sheets a figure shows and whose they are."""
    return f"n = {len(labels)} sheets · data: {data_source}"


def title(figure: Figure, text: str, subtitle: str) -> None:
    """Write a bold title above the figure and a grey line under it."""
    figure.suptitle(text, fontweight="bold", x=0.01, ha="left")
    figure.axes[0].set_title(subtitle, fontsize=9, color=GREY, loc="left")


def empty_figure(text: str, data_source: str) -> Figure:
    """Say why there is nothing to draw."""
    figure = Figure(figsize=(9.2, 1.2), dpi=150)
    figure.text(0.02, 0.6, text, fontsize=11)
    figure.text(0.02, 0.25, f"data: {data_source}", fontsize=9, color=GREY)
    return figure


def tidy(axes: Axes) -> None:
    """Leave away the frame's upper and right lines; put a light grid behind the data."""
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", color="#DDDDDD", linewidth=0.6)
    axes.set_axisbelow(True)
