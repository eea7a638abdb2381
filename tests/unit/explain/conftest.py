import copy
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from steel_xai.config import TaskConfigLoader
from steel_xai.explain.analysis import make_explainer
from steel_xai.explain.files import find_images
from steel_xai.parameters import InterpretationParameters
from steel_xai.parameters.explain import ExplainParameters
from steel_xai.training import train_classifier

CONF = Path(__file__).parents[3] / "conf"
RAW_SIZE = (128, 80)


@pytest.fixture
def interpretation():
    """The project's own parameters of the methods."""
    loader = TaskConfigLoader(str(CONF), base_env="base", env="test", merge_strategy={"parameters": "soft"})
    return InterpretationParameters.model_validate(loader["parameters"]["interpretation"])


@pytest.fixture
def parameters():
    return ExplainParameters(
        images=None, method="guided_backprop", k=1.0, threshold="auto", min_shift=0.1, max_cards=200
    )


@pytest.fixture(scope="session")
def trained_once():
    """What the first test that needs it trains."""
    return {}


@pytest.fixture
def classifier(trained_once, fake_sheets, fake_split, training_parameters, tmp_path):
    """A tiny classifier of bright squares; no test changes it."""
    if not trained_once:
        trained_once["classifier"], _ = train_classifier(
            fake_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={"epochs": 8, "learning_rate": 0.02}),
            seed=0,
            folder=tmp_path / "training",
            data_source="fake",
        )
    return trained_once["classifier"]


@pytest.fixture
def cramped():
    """Return a function that copies a network and leaves the copy memory for three images only."""

    def check(module, inputs):
        if len(inputs[0]) > 3:
            raise torch.OutOfMemoryError("CUDA out of memory")

    def cramp(network):
        other = copy.deepcopy(network)
        other.register_forward_pre_hook(check)
        return other

    return cramp


@pytest.fixture
def make(classifier, fake_sheets, fake_split, parameters, interpretation, white_stains, tmp_path):
    """Make an explainer, with other parameters if asked for."""
    (tmp_path / "work").mkdir()

    def make(threshold=0.6, **changed):
        return make_explainer(
            classifier,
            fake_sheets,
            fake_split,
            calibration={"temperature": 2.0},
            abstention={"threshold": threshold},
            parameters=parameters.model_copy(update=changed),
            interpretation=interpretation,
            white_stains=white_stains,
            raw_width=RAW_SIZE[1],
            device="cpu",
            folder=tmp_path / "work",
        )

    return make


@pytest.fixture
def images(fake_sheets, tmp_path):
    """A folder with the last twelve fake sheets as raw files, and three files that are no sheets."""
    folder = tmp_path / "images"
    folder.mkdir()
    for row in range(48, 60):
        raw = np.kron(fake_sheets[row, 0], np.ones((2, 2), np.uint8))
        Image.fromarray(raw).save(folder / f"{row}.png")
    (folder / "50a.txt").write_text("notes")
    (folder / "53a.jpg").write_bytes((folder / "53.png").read_bytes()[:200])
    Image.fromarray(np.zeros((10, 10), np.uint8)).save(folder / "55a.png")
    return find_images(str(folder))
