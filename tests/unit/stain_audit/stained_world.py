"""Small sheets with known stains and defects, and networks that see one, the other, or both."""

import cv2
import numpy as np
import pandas as pd
import torch
from torch import nn

from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.parameters import StainDetectionParameters

PARAMETERS = StainDetectionParameters(
    min_brightness=220, min_contrast=90, max_length_share=0.4, max_roughness=16, min_area=12
)
HEIGHT, WIDTH = 64, 160
BLACK = 30


class StainReader(nn.Module):
    """Logits ``[stain * share of bright pixels, 1 + defect * share of dark pixels, ...]``; no weights."""

    def __init__(self, stain: float, defect: float = 0.0, outputs: int = 2):
        super().__init__()
        self.stain, self.defect, self.outputs = stain, defect, outputs

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        grey = images[:, 0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]
        bright, dark = ((grey > 0.85).float().mean((1, 2)), ((grey > 0.1) & (grey < 0.2)).float().mean((1, 2)))
        others = torch.zeros((len(images), self.outputs - 2))
        return torch.cat([(self.stain * bright)[:, None], (1 + self.defect * dark)[:, None], others], dim=1)


def classifier(network: nn.Module) -> Classifier:
    return Classifier(network, ClassifierDescription.model_construct())


def stained_world(n: int = 40, n_channels: int = 1, stained: bool = True):
    """Sheets, masks, index and split. Even rows are defect-free, every other of these stained; odd ones have a defect.

    The first quarter are training sheets, the second validation sheets, the rest test sheets. Every fifth has
    a black end. Grey levels of calm steel are 100 +- 3.
    """
    rng = np.random.default_rng(0)
    sheets = np.clip(rng.normal(100, 3, (n, 1, HEIGHT, WIDTH)), 0, 255).astype(np.uint8)
    masks = np.zeros((n, HEIGHT, WIDTH), np.uint8)
    has_stain = np.zeros(n, int)
    for row in range(n):
        x = int(rng.integers(60, WIDTH - 20))
        if row % 5 == 0:
            sheets[row, :, :, :BLACK] = 2
        if row % 2:
            sheets[row, :, 20:40, x - 10 : x + 10] = 40
            masks[row, 20:40, x - 10 : x + 10] = 1 << (row % 3)
        elif row % 4 == 0 and stained:
            has_stain[row] = 1
            canvas = np.ascontiguousarray(sheets[row, 0])
            for _ in range(3):
                centre = (x + int(rng.integers(-12, 13)), int(rng.integers(6, HEIGHT - 6)))
                cv2.circle(canvas, centre, 3, 250.0, thickness=-1)
            sheets[row, 0] = canvas
    index = pd.DataFrame({"row": np.arange(n), "white_stain": has_stain, "duplicate_group": np.arange(n)})
    split = pd.DataFrame(
        {
            "row": np.arange(n),
            "label": np.arange(n) % 2,
            "split": np.select([np.arange(n) < n // 4, np.arange(n) < n // 2], ["train", "validation"], "test"),
            "copy": 0,
        }
    )
    return np.repeat(sheets, n_channels, axis=1), masks, index, split
