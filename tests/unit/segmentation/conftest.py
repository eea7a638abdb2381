"""Sheets with squares of two classes, their masks, and a network that learns them in seconds."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tests.conftest import MODEL_YAML
from torch import nn

from steel_xai.parameters.segmentation import SegmentationParameters
from steel_xai.segmentation import networks

CLASSES = {1: "bright", 3: "dark"}


class TinyNetwork(nn.Module):
    """Two convolutions; its sides need be no multiple of anything."""

    def __init__(self, n_outputs):
        super().__init__()
        self.features = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU())
        self.score = nn.Conv2d(8, n_outputs, 1)

    def forward(self, images):
        return self.score(self.features(images))


@pytest.fixture
def tiny_network(monkeypatch):
    """Stand in for every small FCN."""
    monkeypatch.setattr(networks, "FCN32", lambda features, n_outputs: TinyNetwork(n_outputs))


@pytest.fixture
def parameters():
    """The project's own parameters, for a short training on a CPU from random weights."""
    values = yaml.safe_load(MODEL_YAML.with_name("segmentation.yml").read_text())["segmentation"]
    values["training"] |= {"pretrained": "never", "epochs": 3, "device": "cpu", "learning_rate": 0.02}
    values |= {"bootstrap_samples": 100, "timing_repeats": 1, "minimum_areas": [4, 40]}
    return SegmentationParameters.model_validate(values)


@pytest.fixture
def sheets():
    """Thirty grey sheets of 32x48 pixels: two in three have a bright square, one in three a dark one as well."""
    pixels = np.random.default_rng(0).integers(90, 110, (30, 1, 32, 48), dtype=np.uint8)
    pixels[1::3, :, 4:12, 8:16] = 240
    pixels[2::3, :, 4:12, 8:16] = 240
    pixels[2::3, :, 20:28, 30:38] = 10
    return pixels


@pytest.fixture
def masks():
    """Bit 0 for the bright squares, bit 2 for the dark ones."""
    bits = np.zeros((30, 32, 48), np.uint8)
    bits[1::3, 4:12, 8:16] = 1
    bits[2::3, 4:12, 8:16] = 1
    bits[2::3, 20:28, 30:38] = 4
    return bits


@pytest.fixture
def split():
    """Eighteen training, six validation and six test sheets; labels are the bit fields of their classes."""
    return pd.DataFrame(
        {
            "row": np.arange(30),
            "image_id": [f"{row}.jpg" for row in range(30)],
            "label": np.array([0, 1, 5])[np.arange(30) % 3],
            "split": ["train"] * 18 + ["validation"] * 6 + ["test"] * 6,
            "copy": 0,
            "flip_h": False,
            "flip_v": False,
        }
    )


class Oracle(nn.Module):
    """Labels bright and dark pixels as they are; a grey level of 100 is -0.4 in the first normalised channel."""

    def forward(self, images):
        grey = images[:, 0]
        return torch.stack([torch.zeros_like(grey), 9 * (grey - 1).sign(), 9 * (-1 - grey).sign()], dim=1)
