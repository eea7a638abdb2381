"""Steps that are right by construction: class 1 is bright, class 2 dark, all else grey."""

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tests.conftest import MODEL_YAML
from torch import nn

from steel_xai.cascade.steps import Steps
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.fingerprint import fingerprint
from steel_xai.parameters.cascade import CascadeParameters
from steel_xai.segmentation.segmenter import Segmenter, SegmenterDescription

CLASS_NAMES = ["bright", "dark"]
SIZE = (32, 64)


def _found(images: torch.Tensor) -> torch.Tensor:
    """Tell where each class is, float [B, 2, h, w], from normalised images."""
    return torch.stack([images[:, 0] > 2.0, images[:, 0] < -2.0], dim=1).float()


class Gate(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        present = _found(images).amax(dim=(1, 2, 3)) * 20 - 10
        return torch.stack([-present, present], dim=1)


class Labels(nn.Module):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return _found(images).amax(dim=(2, 3)) * 20 - 10


class UNet(nn.Module):
    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        here = _found(images)[:, self.number - 1] * 20 - 10
        return torch.stack([-here, here], dim=1)


@pytest.fixture
def sheets():
    """Twelve sheets; those whose number leaves rest 1 by 4 have class 1, rest 2 class 2, rest 3 both."""
    pictures = np.full((12, 1, *SIZE), 120, np.uint8)
    for row, picture in enumerate(pictures[:, 0]):
        if row % 4 in (1, 3):
            picture[4:12, 4:20] = 255
        if row % 4 in (2, 3):
            picture[16:28, 30:50] = 0
    return pictures


@pytest.fixture
def masks(sheets):
    return np.where(sheets[:, 0] == 255, 1, np.where(sheets[:, 0] == 0, 2, 0)).astype(np.uint8)


@pytest.fixture
def split():
    """Four sheets in each part, one of each kind; labels are bit fields."""
    return _table(np.arange(12) % 4)


@pytest.fixture
def gate_split():
    return _table((np.arange(12) % 4 > 0).astype(int))


def _table(labels: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "row": np.arange(12),
            "image_id": [f"{row:02}.png" for row in range(12)],
            "label": labels,
            "split": np.repeat(["train", "validation", "test"], 4),
            "copy": 0,
            "flip_h": 0,
            "flip_v": 0,
        }
    )


@pytest.fixture
def describe(sheets):
    """Return a function that describes a model of some outputs and split, as its training would."""

    def about(outputs: list[str], split: pd.DataFrame) -> dict[str, object]:
        return {
            "architecture": "toy",
            "outputs": outputs,
            "tensor_size": SIZE,
            "n_channels": 1,
            "mean": (0, 0, 0),
            "std": (1, 1, 1),
            "weights": "random",
            "seed": 0,
            "data_source": "toy",
            "sheets_fingerprint": fingerprint(sheets),
            "split_fingerprint": fingerprint(split),
            "n_train": 4,
            "best_epoch": 1,
            "epochs_run": 1,
            "seconds_training": 1.0,
            "interrupted": False,
            "versions": {},
            "parameters": {},
            "batch_norm": False,
        }

    return about


@pytest.fixture
def steps(describe, split, gate_split, masks):
    gate = ClassifierDescription(**describe(["no defect", "defect"], gate_split), dropout=0)
    labels = ClassifierDescription(**describe(CLASS_NAMES, split), dropout=0, activation="sigmoid")
    unets = {}
    for number, name in enumerate(CLASS_NAMES, start=1):
        about = describe(["no defect", name], split) | {"architecture": "unet", "encoder": "vgg11_small"}
        about |= {"loss": "cross_entropy", "classes": [number], "masks_fingerprint": fingerprint(masks)}
        unets[number] = Segmenter(UNet(number), SegmenterDescription(**about))
    return Steps(Classifier(Gate(), gate), Classifier(Labels(), labels), unets, CLASS_NAMES)


@pytest.fixture
def parameters():
    """The project's own parameters on a CPU, tiny."""
    values = yaml.safe_load(MODEL_YAML.with_name("cascade.yml").read_text())["cascade"]
    training = values["training"] | {"pretrained": "never", "epochs": 1, "device": "cpu"}
    network = {"architecture": "fcn32", "encoder": "vgg11_small", "loss": "cross_entropy"}
    changed = {"training": training, "network": network, "bootstrap_samples": 100, "timing_repeats": 1}
    return CascadeParameters.model_validate(values | changed)


@pytest.fixture
def held_out(steps, sheets, masks, gate_split, split):
    """What the steps say of the eight sheets that are not for training: predictions and counts."""
    from steel_xai.cascade.held_out import choose_held_out, predict_held_out

    chosen = choose_held_out(gate_split, split)
    return predict_held_out(steps, sheets, masks, chosen, minimum_areas=[200], batch_size=3, device="cpu")
