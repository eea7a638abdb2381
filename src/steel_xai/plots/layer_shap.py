"""The figure of the regions that drive inner layers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steel_xai.plots.strips import Block, Strip, draw_strips, full_scale, grey, key, outline_legend, overlay, scale_bar
from steel_xai.plots.style import YELLOW
from steel_xai.sheets.annotations import NO_DEFECT

_KEY = (
    "agreement: median correlation between maps of both halves of the samples\n"
    "sum: what a map adds up to, of what more samples would bring it to: the\n"
    "class's logit, less its mean over the background sheets"
)


def layer_shap(
    maps: NDArray[np.float32],
    table: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    outputs: Sequence[str],
    *,
    data_source: str,
    several_classes: bool = False,
) -> Figure:
    """Draw each sheet, and over it for each layer the relevance for its most probable classes.

    Layers stand side by side; the maps of one sheet and layer share a symmetric scale. Their caption gives the median
    correlation between maps of both halves of the samples: little of a map with a low one is to be believed. Each map
    says by how much it adds up, and to how much it should: with few samples these differ.

    Args:
        maps: ``[M, h, w]``, as ``layer_shap.explain_layers`` returns them.
        table: Their M rows.
        sheets: Greyscale ``[N, h, w]``, in the order of the table's sheets.
        truth: Masks ``[N, h, w]``; an empty one has no outline.
        outputs: Names of the K outputs.
        data_source: Named under the title.
        several_classes: Labels and predictions are bit fields of outputs.
    """
    sections = []
    numbered = table.reset_index(drop=True)
    for i, (_, of_sheet) in enumerate(numbered.groupby("row", sort=False)):
        label, predicted = (int(of_sheet[column].iloc[0]) for column in ("label", "predicted"))
        true = _classes(label, several_classes)
        taken = f", taken for {_name(_classes(predicted, several_classes), outputs)}" if predicted != label else ""
        blocks = [
            _block(maps[rows.index.to_numpy()], rows, sheets[i], truth[i], true)
            for _, rows in of_sheet.groupby("layer", sort=False)
        ]
        sections.append((f"{of_sheet['image_id'].iloc[0]} · {_name(true, outputs)}{taken}", blocks))
    about = f"expected gradients, one scale a sheet and layer · n = {len(sections)} test sheets · data: {data_source}"
    figure = draw_strips(sections, "What drives inner layers, for the most probable classes", about)
    scale_bar(figure, ("against the class", "for the class"), signed=True)
    key(figure, _KEY)
    if truth.any():
        outline_legend(figure, {"true mask": YELLOW})
    return figure


def _classes(label: int, several_classes: bool) -> list[int]:
    """List the outputs that a label stands for: itself, or the bits of a bit field."""
    return [k for k in range(label.bit_length()) if label >> k & 1] if several_classes else [label]


def _name(classes: Sequence[int], outputs: Sequence[str]) -> str:
    return " + ".join(outputs[k] for k in classes) or NO_DEFECT


def _signed(value: float) -> str:
    return f"{value:+.{2 if abs(value) < 9.995 else 1}f}".replace("-", "\N{MINUS SIGN}")


def _block(
    maps: NDArray[np.float32],
    rows: pd.DataFrame,
    sheet: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    classes: Sequence[int],
) -> Block:
    scale = full_scale(maps)
    strips = [Strip("sheet", grey(sheet), [(truth, YELLOW)])]
    for relevance, row in zip(maps, rows.to_dict("records"), strict=True):
        name, is_true = f"{row['output']} {row['probability']:.0%}", row["class"] in classes
        adds_up = f"sum {_signed(row['relevance'])} of {_signed(row['expected'])}"
        strips.append(Strip(name, overlay(sheet, relevance / scale), [(truth, YELLOW)], is_true, adds_up))
    about, agreement = rows.iloc[0], rows["agreement"].median()
    cells = f"{about['channels']} maps of {about['height']}x{about['width']}"
    return Block(f"{about['layer']}: {cells} · agreement {agreement:.2f}", strips)
