"""A tiny network and a few fake sheets, for tests of everything that trains or explains."""

from collections import OrderedDict
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from hypothesis import settings
from torch import nn

from steel_xai import models
from steel_xai.parameters import StainDetectionParameters, TrainingParameters

# The same cases in every run, and none refused for being slow on a busy machine; slow tests of tests/fuzz draw anew.
settings.register_profile("project", deadline=None, derandomize=True)
settings.load_profile("project")

MODEL_YAML = Path(__file__).parents[1] / "conf" / "base" / "parameters" / "model.yml"


def tiny_network(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    features = nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2), nn.ReLU(), nn.MaxPool2d(3, 2, ceil_mode=True), nn.Conv2d(8, 8, 3), nn.ReLU()
    )
    head = nn.Sequential(nn.Dropout(dropout), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, n_classes))
    return nn.Sequential(OrderedDict(features=features, classifier=head))


@pytest.fixture(autouse=True, scope="session")
def one_thread():
    """Keep tests fast beside other processes: threads that wait for each other cost more than they give."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny_architecture(monkeypatch):
    """Register a network of two convolutions as ``tiny``."""
    monkeypatch.setitem(models.ARCHITECTURES, "tiny", tiny_network)
    return "tiny"


@pytest.fixture
def training_parameters(tiny_architecture):
    """The project's own parameters for a short training of the tiny network from random weights."""
    values = yaml.safe_load(MODEL_YAML.read_text())["training"]
    parameters = TrainingParameters.model_validate(
        {**values, "pretrained": "never", "epochs": 4, "patience": 9, "batch_size": 8, "device": "cpu"}
    )
    return parameters.model_copy(update={"architecture": tiny_architecture})


@pytest.fixture
def white_stains():
    """The project's own parameters of the stain detector."""
    values = yaml.safe_load(MODEL_YAML.with_name("data_processing.yml").read_text())["data_processing"]["white_stains"]
    return StainDetectionParameters.model_validate(values)


@pytest.fixture
def fake_sheets():
    """Sixty grey sheets of 64x40 pixels; those with an odd number have a bright square."""
    rng = np.random.default_rng(0)
    sheets = rng.integers(60, 120, (60, 1, 64, 40), dtype=np.uint8)
    sheets[1::2, :, 20:36, 10:26] += 90
    return sheets


@pytest.fixture
def fake_split():
    """Labels 0 and 1 in turn; 36 training, 12 validation, 12 test sheets, no flips."""
    return pd.DataFrame(
        {
            "row": np.arange(60),
            "image_id": [f"{row}.jpg" for row in range(60)],
            "label": np.arange(60) % 2,
            "split": ["train"] * 36 + ["validation"] * 12 + ["test"] * 12,
            "copy": 0,
            "flip_h": False,
            "flip_v": False,
        }
    )
