"""Pictures of a card: sheets and heat maps as text for a page, outlines as vector graphics."""

import base64
import io

import numpy as np

SCALE = 2
"""Pixels of a shown sheet for one of the tensor."""

_QUALITY, _EFFORT = 72, 2
_FINE = 4


def shown_size(raw_size: tuple[int, int], tensor_size: tuple[int, int]) -> tuple[int, int]:
    """Choose height and width of shown sheets: sharper than the network sees them, and no larger than they are."""
    height, width = (min(raw, SCALE * tensor) for raw, tensor in zip(raw_size, tensor_size, strict=True))
    return height, width


def encode(picture: np.ndarray) -> str:
    """Write a picture uint8 [a, b] or [a, b, 3] as base64 of a WebP file."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "WEBP", quality=_QUALITY, method=_EFFORT)
    return base64.b64encode(file.getvalue()).decode("ascii")


def heat_map(picture: np.ndarray, evidence: np.ndarray) -> np.ndarray:
    """Lay evidence [h, w] over a grey picture [a, b] as the project's figures do: uint8 [a, b, 3]."""
    import cv2

    from steel_xai.plots.strips import full_scale, overlay

    relevance = np.clip(evidence / full_scale(evidence), 0, 1).astype(np.float32)
    height, width = picture.shape
    fine = cv2.resize(relevance, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(np.rint(255 * overlay(picture, np.asarray(fine))), dtype=np.uint8)


def scale_bar() -> str:
    """Draw the heat map's colours from nothing to full over a middle grey, as ``encode`` writes it."""
    return encode(heat_map(np.full((12, 200), 128, np.uint8), np.linspace(0, 1, 200, dtype=np.float32)[None]))


def outline(mask: np.ndarray) -> str:
    """Trace the pixels of a mask [h, w] in SVG's path notation, holes included; empty for an empty mask."""
    import cv2

    fine = np.repeat(np.repeat(mask.astype(np.uint8), _FINE, axis=0), _FINE, axis=1)
    contours, _ = cv2.findContours(fine, cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE)
    return "".join(_path(contour[:, 0, :]) for contour in contours)


def _path(points: np.ndarray) -> str:
    numbers = [f"{(x + 0.5) / _FINE:g} {(y + 0.5) / _FINE:g}" for x, y in points]
    return f"M{'L'.join(numbers)}Z"
