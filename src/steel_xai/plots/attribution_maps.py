"""Figures of attribution maps over their sheets, as strips one above the other."""

from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from numpy.typing import NDArray

from steel_xai.plots.attribution import method_name
from steel_xai.plots.strips import (
    FULL_SCALE,
    Block,
    Strip,
    draw_strips,
    full_scale,
    grey,
    outline_legend,
    overlay,
    scale_bar,
)
from steel_xai.plots.style import SKY, YELLOW

_STRONGEST = f"{FULL_SCALE}th percentile of the map"


def attribution_gallery(
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    maps: Mapping[str, NDArray[np.float32]],
    outputs: Sequence[str],
    *,
    data_source: str,
) -> Figure:
    """Draw sheets, and over each the maps of several methods, with the outline of the true mask.

    Args:
        predictions: The rows ``image_id, label, predicted`` of the N sheets, in their order, and ``target``: the class
            explained, which is named where it is not the label.
        sheets: Greyscale ``[N, h, w]``.
        truth: Masks ``[N, h, w]``; an empty one has no outline.
        maps: Evidence ``[N, h, w]`` of each method, never negative; each map has a scale of its own.
        outputs: Names of the K outputs.
        data_source: Named under the title.
    """
    blocks = []
    for i, caption in enumerate(_captions(predictions, outputs)):
        strips = [Strip("sheet", grey(sheets[i]), [(truth[i], YELLOW)])]
        for name, of_method in maps.items():
            picture = overlay(sheets[i], of_method[i] / full_scale(of_method[i]))
            strips.append(Strip(method_name(name), picture, [(truth[i], YELLOW)]))
        blocks.append(Block(caption, strips))
    figure = draw_strips([("", blocks)], "Attribution maps", f"n = {len(sheets)} sheets · data: {data_source}")
    scale_bar(figure, ("0", _STRONGEST), signed=False)
    if truth.any():
        outline_legend(figure, {"true mask": YELLOW})
    return figure


def attribution_examples(
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    evidence: NDArray[np.float32],
    predicted: NDArray[np.bool_],
    dice: NDArray[np.float64],
    outputs: Sequence[str],
    *,
    method: str,
    data_source: str,
) -> Figure:
    """Draw the sheet with a method's best Dice and the one with the median, with true and predicted mask.

    Args:
        predictions: The rows ``image_id, label, predicted`` of the N sheets, in their order, and ``target``: the class
            explained, which is named where it is not the label.
        sheets: Greyscale ``[N, h, w]`` to choose from.
        truth: Masks ``[N, h, w]``.
        evidence: The method's maps ``[N, h, w]``, never negative.
        predicted: The thresholded maps ``[N, h, w]``.
        dice: Of each sheet, ``[N]``, nan where it has no mask. The median of an even number is the lower.
        outputs: Names of the K outputs.
        method: Whose maps these are.
        data_source: Named under the title.
    """
    ranked = np.argsort(dice, kind="stable")[: np.isfinite(dice).sum()]
    captions = _captions(predictions, outputs)
    blocks = []
    for name, i in (("best", ranked[-1]), ("median", ranked[(len(ranked) - 1) // 2])):
        outlines = [(truth[i], YELLOW), (predicted[i], SKY)]
        relevance = overlay(sheets[i], evidence[i] / full_scale(evidence[i]))
        strips = [
            Strip("sheet", grey(sheets[i])),
            Strip("masks", grey(sheets[i]), outlines),
            Strip(method_name(method), relevance, outlines),
        ]
        blocks.append(Block(f"{name}: Dice {dice[i]:.2f} · {captions[i]}", strips))
    about = f"{method_name(method)}, best and median of n = {len(ranked)} sheets by Dice · data: {data_source}"
    figure = draw_strips([("", blocks)], "Defects found by an explanation", about)
    scale_bar(figure, ("0", _STRONGEST), signed=False)
    outline_legend(figure, {"true mask": YELLOW, "predicted mask": SKY})
    return figure


def class_evidence(
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    maps: NDArray[np.float32],
    outputs: Sequence[str],
    *,
    method: str,
    data_source: str,
) -> Figure:
    """Draw a method's maps with respect to every output: what excites it is red, what inhibits it blue.

    Args:
        predictions: The rows ``image_id, label, predicted`` of the N sheets, in their order.
        sheets: Greyscale ``[N, h, w]``.
        truth: Masks ``[N, h, w]``; an empty one has no outline.
        maps: Signed relevance ``[N, K, h, w]``; the outputs of one sheet share a symmetric scale.
        outputs: Names of the K outputs.
        method: Whose maps these are.
        data_source: Named under the title.
    """
    every = np.broadcast_to(np.arange(len(outputs)), maps.shape[:2])
    blocks = _signed_blocks(predictions, sheets, truth, maps, every, outputs)
    about = f"{method_name(method)}, one scale a sheet · n = {len(sheets)} sheets · data: {data_source}"
    return _signed_figure([("", blocks)], "What speaks for and against each class", about, truth)


def error_panels(
    errors: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    maps: NDArray[np.float32],
    classes: NDArray[np.integer],
    outputs: Sequence[str],
    *,
    method: str,
    data_source: str,
) -> Figure:
    """Draw confident errors, false positives and false negatives apart, with maps for the outputs asked for.

    Args:
        errors: N rows as ``error_analysis.most_confident_errors`` returns them; the figure says so if there are none.
        sheets: Greyscale ``[N, h, w]``, in the order of the errors.
        truth: Masks ``[N, h, w]``; an empty one has no outline.
        maps: Signed relevance ``[N, M, h, w]``; the maps of one sheet share a symmetric scale.
        classes: The output that each map is of, ``[N, M]``.
        outputs: Names of all outputs.
        method: Whose maps these are.
        data_source: Named under the title.
    """
    blocks = _signed_blocks(errors, sheets, truth, maps, classes, outputs)
    sections: dict[str, list[Block]] = {}
    for row, block in zip(errors.to_dict("records"), blocks, strict=True):
        is_positive = row["group"] == "false_positive"
        heading = (
            f"False positives: taken for {outputs[row['class']]}"
            if is_positive
            else f"False negatives: {outputs[row['class']]}, taken for {outputs[0]}"
        )
        sections.setdefault(heading, []).append(block)
    about = f"{method_name(method)}, one scale a sheet · n = {len(errors)} sheets · data: {data_source}"
    if not sections:
        return draw_strips([("No test sheet was taken for a wrong class.", [])], "The most confident errors", about)
    return _signed_figure(list(sections.items()), "The most confident errors", about, truth)


def _signed_blocks(
    predictions: pd.DataFrame,
    sheets: NDArray[np.uint8],
    truth: NDArray[np.bool_],
    maps: NDArray[np.float32],
    classes: NDArray[np.integer],
    outputs: Sequence[str],
) -> list[Block]:
    """Draw each sheet, then its maps ``[N, M, h, w]`` of the outputs ``classes`` ``[N, M]``."""
    blocks = []
    for i, row in enumerate(predictions.to_dict("records")):
        confidence = f" · predicted with {row['confidence']:.0%}" if "confidence" in row else ""
        strips = [Strip("sheet", grey(sheets[i]), [(truth[i], YELLOW)])]
        scale = full_scale(maps[i])
        for relevance, k in zip(maps[i], classes[i], strict=True):
            roles = [role for role, column in (("true", "label"), ("predicted", "predicted")) if row[column] == k]
            name = outputs[k] + (f" ({', '.join(roles)})" if roles else "")
            picture = overlay(sheets[i], relevance / scale)
            strips.append(Strip(name, picture, [(truth[i], YELLOW)], bold="true" in roles))
        blocks.append(Block(f"{row['image_id']}{confidence}", strips))
    return blocks


def _captions(predictions: pd.DataFrame, outputs: Sequence[str]) -> list[str]:
    """Name each sheet, its true output, and those that it was taken for or that is explained if they are others."""
    return [
        f"{row['image_id']} · {outputs[row['label']]}"
        + (f", taken for {outputs[row['predicted']]}" if row["predicted"] != row["label"] else "")
        + (f", explained: {outputs[row['target']]}" if row.get("target", row["label"]) != row["label"] else "")
        for row in predictions.to_dict("records")
    ]


def _signed_figure(
    sections: Sequence[tuple[str, list[Block]]], heading: str, about: str, truth: NDArray[np.bool_]
) -> Figure:
    figure = draw_strips(sections, heading, about)
    scale_bar(figure, ("inhibits", "excites"), signed=True)
    if truth.any():
        outline_legend(figure, {"true mask": YELLOW})
    return figure
