"""From stored sheets to what a network sees: batches of normalised float tensors, flipped as the split says."""

from dataclasses import dataclass
from typing import Self

import numpy as np
import pandas as pd
import torch

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
"""Per channel, for pixel values in 0..1."""


@dataclass(frozen=True)
class Examples:
    """Labelled examples of one split: row in the sheets, class, and whether left-right and top-down are flipped."""

    rows: np.ndarray
    labels: np.ndarray
    flip_h: np.ndarray
    flip_v: np.ndarray

    @classmethod
    def of(cls, split: pd.DataFrame, name: str) -> Self:
        """Take the examples of the split ``name`` (train, validation or test), in the table's order."""
        part = split[split["split"] == name]
        # Copies, because PyTorch warns of arrays that may not be written to, as those of a table may not.
        return cls(
            rows=part["row"].to_numpy(np.int64, copy=True),
            labels=part["label"].to_numpy(np.int64, copy=True),
            flip_h=part["flip_h"].to_numpy(bool, copy=True),
            flip_v=part["flip_v"].to_numpy(bool, copy=True),
        )

    def __len__(self) -> int:
        """Count the examples."""
        return len(self.rows)

    def take(self, index: np.ndarray) -> "Examples":
        """Select examples by position, in that order."""
        return Examples(self.rows[index], self.labels[index], self.flip_h[index], self.flip_v[index])

    def flipped(self, flip_h: np.ndarray, flip_v: np.ndarray) -> "Examples":
        """Flip on top of the flips that the examples have already; a second flip undoes the first."""
        return Examples(self.rows, self.labels, self.flip_h ^ flip_h, self.flip_v ^ flip_v)


def load_batch(sheets: np.ndarray, examples: Examples, device: torch.device) -> torch.Tensor:
    """Read the examples' sheets: uint8 [N, C, h, w] to normalised float32 [B, 3, h, w] on the device."""
    pixels = apply_flips(sheets[examples.rows], examples.flip_h, examples.flip_v)
    return normalise(torch.from_numpy(pixels).to(device))


def apply_flips(pictures: np.ndarray, flip_h: np.ndarray, flip_v: np.ndarray) -> np.ndarray:
    """Flip pictures left-right and top-down where their flags [B] say so.

    Sheets [B, C, h, w] and masks [B, h, w] alike: the last two axes are height and width. Returns a new array.
    """
    flipped = np.array(pictures)
    for flags, axis in ((flip_h, -1), (flip_v, -2)):
        chosen = np.flatnonzero(flags)
        if len(chosen):
            flipped[chosen] = np.flip(flipped[chosen], axis)
    return flipped


def normalise(pixels: torch.Tensor) -> torch.Tensor:
    """Normalise uint8 pixels [B, 1 or 3, h, w] by ImageNet's mean and deviation; grey becomes three channels.

    Returns:
        float32 [B, 3, h, w] with (pixel / 255 - mean_c) / std_c, in the channels-last memory format.
    """
    mean = torch.tensor(IMAGENET_MEAN, device=pixels.device)
    std = torch.tensor(IMAGENET_STD, device=pixels.device)
    last = pixels.permute(0, 2, 3, 1).contiguous().float()
    return torch.addcmul(-mean / std, last, 1 / (255 * std)).permute(0, 3, 1, 2)
