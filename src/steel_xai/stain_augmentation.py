"""A remedy for the stain shortcut: in training, stains are pasted on sheets whatever their label."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.localisation import BLACK_LEVEL
from steel_xai.parameters import StainDetectionParameters
from steel_xai.stain_audit.stains import Stain, cut_stains, paste

_TRIES = 8
"""Places that are tried before a sheet stays as it is: nearly all may be black."""
_MAX_BLACK = 0.1
"""Share of the covered pixels that may be black, as pixels of defects are."""


def stains_to_paste(
    sheets: NDArray[np.uint8],
    split: pd.DataFrame,
    probability: float,
    white_stains: StainDetectionParameters | None,
    size: tuple[int, int],
) -> list[Stain]:
    """Cut the stains out of the defect-free training sheets that fit on pictures of ``size`` (h, w).

    Args:
        sheets: uint8 [N, C, h, w].
        split: ``row, label, split, copy``; label 0 is "no defect".
        probability: ``training.stain_augmentation``; with 0 no sheet is looked at and there are no stains.
        white_stains: Parameters of the detector.
        size: Of what is trained on: of the sheets, or of their windows.

    Raises:
        InputError: There is no stain to paste, or no detector to find it.
    """
    if probability == 0:
        return []
    if white_stains is None:
        raise InputError(
            "training.stain_augmentation: stains are found by data_processing.white_stains, and none were given"
        )
    rows = split.loc[(split["split"] == "train") & (split["label"] == 0) & (split["copy"] == 0), "row"].to_numpy()
    height, width = size
    found = cut_stains(sheets, rows, white_stains)
    stains = [stain for stain in found if stain.opacity.shape[0] <= height and stain.opacity.shape[1] <= width]
    if not stains:
        raise InputError(
            f"training.stain_augmentation is {probability}, but the {len(rows)} defect-free training sheets have no "
            f"white stain{f' that fits on {height}x{width} pixels' if found else ''}; set it to 0, or mend "
            "data_processing.white_stains, by which stains are found"
        )
    return stains


def paste_at_random(
    pictures: NDArray[np.uint8], stains: Sequence[Stain], probability: float, rng: np.random.Generator
) -> None:
    """Paste a stain on each of the pictures [B, C, h, w] with a probability, in place.

    Stain, left-right reflection and place are drawn anew for each; a place at which the picture is black is refused.

    Args:
        pictures: uint8.
        stains: None larger than the pictures.
        probability: 0 to 1.
        rng: Of all draws.
    """
    for number in np.flatnonzero(rng.random(len(pictures)) < probability):
        _paste_one(pictures[number], stains[int(rng.integers(len(stains)))], rng)


def _paste_one(picture: NDArray[np.uint8], stain: Stain, rng: np.random.Generator) -> None:
    step = -1 if rng.random() < 0.5 else 1
    pixels, opacity = stain.pixels[:, :, ::step], stain.opacity[:, ::step]
    height, width = opacity.shape
    room_below, room_beside = picture.shape[1] - height, picture.shape[2] - width
    for _ in range(_TRIES):
        top = 0 if stain.at_top else room_below if stain.at_bottom else int(rng.integers(room_below + 1))
        left = int(rng.integers(room_beside + 1))
        covered = picture[:, top : top + height, left : left + width][:, opacity > 0]
        if (covered < BLACK_LEVEL).mean() < _MAX_BLACK:
            paste(picture, pixels, opacity, top, left)
            return
