"""Explanations as rows of the table and as what a card shows, in values that JSON can hold."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from steel_xai.explain.analysis import Explanation, WithoutIt
from steel_xai.explain.files import ImageFile, printable
from steel_xai.explain.neighbours import N_NEAREST, Reference
from steel_xai.explain.pictures import encode, heat_map, outline
from steel_xai.sheets.rle import encode_rle

WHITE_STAIN, BLACK_EDGE = "white_stain", "black_edge"

Row = dict[str, Any]
Card = dict[str, Any]


def columns(n_classes: int) -> list[str]:
    """Name the columns of the table for K classes."""
    nearest = [f"nearest_{i}{part}" for i in range(1, N_NEAREST + 1) for part in ("", "_label", "_distance")]
    without = [
        f"{name}_{part}"
        for name in ("stain", "edge")
        for part in ("area_share", "relevance_share", "predicted_without", "p_without", "p_control")
    ]
    return [
        *("image_id", "path", "status", "reason", "predicted", "probability", "confidence", "answered", "warnings"),
        *(f"p_{k}" for k in range(n_classes)),
        *("mask_area_share", "mask_rle"),
        *nearest,
        *without,
    ]


def refused_row(file: ImageFile, reason: str) -> Row:
    """Describe a file that is no usable sheet."""
    return {"image_id": file.image_id, "path": printable(str(file.path)), "status": "refused", "reason": reason}


def explained_row(
    file: ImageFile, found: Explanation, reference: Reference, outputs: Sequence[str], raw_size: tuple[int, int]
) -> Row:
    """Describe an explained sheet; shares and probabilities are 0..1, the mask is of the raw sheet's size."""
    row: Row = {
        "image_id": file.image_id,
        "path": printable(str(file.path)),
        "status": "explained",
        "reason": "",
        "predicted": outputs[found.predicted],
        "probability": float(found.probabilities[found.predicted]),
        "confidence": found.confidence,
        "answered": found.answered,
        "warnings": ";".join(warnings(found)),
        **{f"p_{k}": float(p) for k, p in enumerate(found.probabilities)},
        "mask_area_share": float(found.mask.mean()),
        "mask_rle": encode_rle(enlarged(found.mask, raw_size)),
    }
    for i, (place, distance) in enumerate(zip(found.nearest, found.distances, strict=True), start=1):
        sheet = reference.sheets.iloc[int(place)]
        row[f"nearest_{i}"] = str(sheet["image_id"])
        row[f"nearest_{i}_label"] = outputs[int(sheet["label"])]
        row[f"nearest_{i}_distance"] = float(distance)
    for name, without in (("stain", found.stain), ("edge", found.black_end)):
        row |= _without(name, without, outputs)
    return row


def warnings(found: Explanation) -> list[str]:
    """Name what the decision rests on and should not."""
    reasons = ((WHITE_STAIN, found.stain), (BLACK_EDGE, found.black_end))
    return [name for name, without in reasons if without and without.decides]


def card(found: Explanation, picture: np.ndarray, reference: Reference) -> Card:
    """Draw what a card shows beside its row.

    Args:
        found: The explanation.
        picture: The sheet in grey, uint8 [a, b], as large as it is shown.
        reference: Among whose sheets the nearest are.

    Returns:
        ``sheet`` and ``heat`` as base64 pictures; ``mask``, ``stain`` and ``edge`` as outlines in SVG's path notation,
        in tensor pixels; ``neighbours``, the rows of the nearest sheets.
    """
    return {
        "sheet": encode(picture),
        "heat": encode(heat_map(picture, found.evidence)),
        "mask": outline(found.mask),
        "stain": outline(found.stain.where) if found.stain else "",
        "edge": outline(found.black_end.where) if found.black_end else "",
        "neighbours": [int(reference.sheets["row"].iloc[int(place)]) for place in found.nearest],
    }


def enlarged(mask: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Enlarge a mask [h, w] to the raw sheet's size: each raw pixel takes the value of the one it lies in."""
    import cv2

    return np.asarray(cv2.resize(mask.astype(np.uint8), (size[1], size[0]), interpolation=cv2.INTER_NEAREST))


def _without(name: str, without: WithoutIt | None, outputs: Sequence[str]) -> Row:
    if without is None:
        return {f"{name}_area_share": 0.0, f"{name}_relevance_share": 0.0}
    return {
        f"{name}_area_share": float(without.where.mean()),
        f"{name}_relevance_share": without.relevance,
        f"{name}_predicted_without": outputs[without.predicted],
        f"{name}_p_without": without.probability,
        f"{name}_p_control": without.control_probability,
    }
