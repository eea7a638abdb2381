"""The figure of the regions that drive inner layers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steel_xai.plots.strips import Block, Strip, draw_strips, full_scale, grey, outline_legend, overlay, scale_bar
from steel_xai.plots.style import YELLOW


def layer_shap(
    maps: NDArray[np.float32],
    table: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw each sheet, and over it for each layer the relevance for its most probable classes.

    Layers stand side by side; the maps of one sheet and layer share a symmetric scale. Their caption gives the median
    correlation between maps of both halves of the samples: little of a map with a low one is to be believed.

    Args:
        maps: ``[M, h, w]``, as ``layer_shap.explain_layers`` returns them.
        table: Their M rows.
        sheets: Greyscale ``[N, h, w]``, in the order of the table's sheets.
        truth: Masks ``[N, h, w]``; an empty one has no outline.
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    sections = []
    numbered = table.reset_index(drop=True)
    for i, (_, of_sheet) in enumerate(numbered.groupby("row", sort=False)):
        label, predicted = (int(of_sheet[column].iloc[0]) for column in ("label", "predicted"))
        taken = f", taken for {outputs[predicted]}" if predicted != label else ""
        blocks = [
            _block(maps[rows.index.to_numpy()], rows, sheets[i], truth[i])
            for _, rows in of_sheet.groupby("layer", sort=False)
        ]
        sections.append((f"{of_sheet['image_id'].iloc[0]} · {outputs[label]}{taken}", blocks))
    about = f"expected gradients, one scale a sheet and layer · n = {len(sections)} test sheets · data: {data_source}"
    figure = draw_strips(sections, "What drives inner layers, for the most probable classes", about)
    scale_bar(figure, ("against the class", "for the class"), signed=True)
    outline_legend(figure, {"true mask": YELLOW})
    return figure


def _block(maps: NDArray[np.float32], rows: pd.DataFrame, sheet: NDArray[np.uint8], truth: NDArray[np.bool_]) -> Block:
    scale = full_scale(maps)
    strips = [Strip("sheet", grey(sheet), [(truth, YELLOW)])]
    for relevance, row in zip(maps, rows.to_dict("records"), strict=True):
        name, is_true = f"{row['output']} {row['probability']:.0%}", row["class"] == row["label"]
        strips.append(Strip(name, overlay(sheet, relevance / scale), [(truth, YELLOW)], bold=is_true))
    about, agreement = rows.iloc[0], rows["agreement"].median()
    cells = f"{about['channels']} maps of {about['height']}x{about['width']}"
    return Block(f"{about['layer']}: {cells} · agreement {agreement:.2f}", strips)
