"""Every loop goes on with smaller batches where the device's memory gives out, with the same result."""

import logging
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from tests.conftest import tiny_network
from torch import nn
from tqdm import tqdm

from steel_xai import models
from steel_xai.attribution import METHODS, Options, attribute
from steel_xai.attribution.completeness import completeness_errors
from steel_xai.attribution.faithfulness import insertion_deletion
from steel_xai.batches import Examples
from steel_xai.errors import InputError
from steel_xai.evaluation.noise_robustness import measure_noise
from steel_xai.inference import predict
from steel_xai.inspection.layer_features import layer_features
from steel_xai.inspection.sheet_activations import activate_sheets
from steel_xai.inspection.similarity import gram_matrices
from steel_xai.segmentation import segmenter, supervised
from steel_xai.training import train_classifier

ROOM = 3


class Cramped(nn.Module):
    """A layer that has memory for a few images only, in training and evaluation alike."""

    def __init__(self, room):
        super().__init__()
        self.room = room

    def forward(self, images):
        if not images.is_meta and len(images) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return images * 1


@pytest.fixture
def room(monkeypatch, tiny_architecture):
    """Return a function that sets how many images fit."""
    layer = Cramped(10**6)

    def cramped_network(n_classes, dropout, image_size):
        network = tiny_network(n_classes, dropout, image_size)
        features = network.get_submodule("features")
        assert isinstance(features, nn.Sequential)
        features.insert(2, layer)
        return network

    monkeypatch.setitem(models.ARCHITECTURES, tiny_architecture, cramped_network)

    def set_room(n):
        layer.room = n

    return set_room


@pytest.fixture
def train(room, fake_sheets, fake_split, training_parameters, tmp_path):
    def run(n_that_fit, **changes):
        # Dropout draws other masks for parts, and batch normalisation sees the parts.
        fixed = {"dropout": 0.0, "batch_norm": False, "random_flips": False, "epochs": 2, "learning_rate": 0.01}
        room(n_that_fit)
        return train_classifier(
            fake_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={**fixed, **changes}),
            seed=0,
            folder=tmp_path / str(n_that_fit),
            data_source="fake",
        )

    return run


@pytest.mark.parametrize("changes", [{"noise": 0.15}, {"noise": 0.0, "class_weights": "inverse_frequency"}])
def test_training_in_parts_is_training_in_whole_batches(train, changes, fake_split):
    fake_split.loc[fake_split.index[:36:4], "label"] = 1  # classes of unequal weight
    (_, whole), (_, parts) = train(100, **changes), train(ROOM, **changes)
    figures = ["train_loss", "train_accuracy", "validation_loss", "validation_accuracy"]
    np.testing.assert_allclose(parts[figures], whole[figures], atol=1e-5)


def test_training_warns_once_for_each_halving(train, caplog):
    with caplog.at_level(logging.WARNING):
        train(ROOM, noise=0.15)
    sizes = [record.args[1] for record in caplog.records if "does not fit" in record.msg]
    assert sizes == [8, 4, 2]


def test_training_of_which_not_one_example_fits_names_the_parameter(train):
    with pytest.raises(InputError, match=r"training\.batch_size"):
        train(0)


def test_predictions_are_the_same(train, room, fake_sheets, fake_split):
    classifier, _ = train(100)
    whole = predict(classifier, fake_sheets, fake_split, batch_size=32, device="cpu")
    room(ROOM)
    parts = predict(classifier, fake_sheets, fake_split, batch_size=32, device="cpu")
    pd.testing.assert_frame_equal(parts, whole, atol=1e-6)


@pytest.mark.parametrize(
    "method", [name for name in METHODS if name not in ("deeplift", "deepshap", "guided_backprop", "guided_gradcam")]
)
def test_maps_are_the_same(method, monkeypatch):
    torch.manual_seed(0)
    network = tiny_network(2, 0.0, (64, 40)).eval()
    images, targets = torch.randn(6, 3, 64, 40), torch.arange(6) % 2
    options = Options(batch_size=6, ig_steps=4, lime_samples=10, lime_segments=6)

    def explain():
        return attribute(network, images, targets, methods=[method], options=options, baselines=None, seeds=range(6))

    whole = explain()[method]
    convolution = network.get_submodule("features.0")
    weight, bias = convolution.get_parameter("weight"), convolution.get_parameter("bias")

    def cramped(batch):
        if len(batch) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return nn.functional.conv2d(batch, weight, bias, stride=2)

    monkeypatch.setattr(convolution, "forward", cramped)
    parts = explain()[method]
    np.testing.assert_allclose(parts, whole, atol=1e-5 * np.abs(whole).max())


def cramp(network):
    """Leave the network memory for a few images only."""

    def check(module, inputs):
        if len(inputs[0]) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory")

    network.register_forward_pre_hook(check)


def test_masks_are_the_same(fake_sheets):
    network = nn.Conv2d(3, 3, 3, padding=1)
    described: Any = None
    model = segmenter.Segmenter(network, described)

    def found():
        images, targets = torch.from_numpy(fake_sheets[:7].repeat(3, axis=1)).float(), np.arange(7) % 3
        of_sheets = np.concatenate(
            list(segmenter.predict(model, fake_sheets, np.arange(7), batch_size=7, device="cpu"))
        )
        return of_sheets, supervised.probabilities(network, images / 255, targets, "single_class", 7)

    whole = found()
    cramp(network)
    for parts, expected in zip(found(), whole, strict=True):
        np.testing.assert_allclose(parts, expected, atol=1e-5)


def test_what_layers_put_out_is_the_same(fake_sheets):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU()).eval()
    none = np.zeros(7, dtype=bool)
    examples = Examples(np.arange(7), np.zeros(7, dtype=int), none, none)
    how: dict[str, Any] = {"batch_size": 7, "device": torch.device("cpu")}

    def found():
        features = layer_features(network, fake_sheets, examples, ["0", "1"], n_features=12, seed=0, **how)
        filters = activate_sheets(network, ["0"], fake_sheets, np.arange(7), **how)["0"]
        return features["0"], features["1"], filters.mean, filters.peak, filters.cell, filters.least

    whole = found()
    cramp(network)
    for parts, expected in zip(found(), whole, strict=True):
        np.testing.assert_allclose(parts, expected, atol=1e-5)


def test_what_networks_answer_to_changed_images_is_the_same(fake_sheets):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten()).eval()
    images, targets = torch.randn(2, 3, 16, 20), torch.tensor([0, 3])
    maps = {"any": np.random.default_rng(0).normal(size=(2, 16, 20))}

    def curves():
        found = insertion_deletion(network, images, targets, maps, steps=6, fill="mean", seed=0, batch_size=10)
        return found["probability"].to_numpy()

    whole = curves()
    cramp(network)
    np.testing.assert_allclose(curves(), whole, atol=1e-6)


def test_completeness_is_the_same(monkeypatch):
    torch.manual_seed(0)
    network = tiny_network(2, 0.0, (64, 40)).eval()
    images, targets = torch.randn(5, 3, 64, 40), torch.arange(5) % 2
    options = Options(batch_size=5, ig_steps=4, shap_baselines=2)

    def errors():
        seeds = range(5)
        return completeness_errors(network, images, targets, options=options, baselines=images[:3], seeds=seeds)

    whole = errors()
    seen = []
    convolution = network.get_submodule("features.0")
    assert isinstance(convolution, nn.Conv2d)

    def cramped(batch):
        if len(batch) > ROOM:
            raise torch.OutOfMemoryError("CUDA out of memory")
        seen.append(len(batch))
        return nn.functional.conv2d(batch, convolution.weight, convolution.bias, stride=2)

    monkeypatch.setattr(convolution, "forward", cramped)
    parts = errors()
    assert seen
    for method, expected in whole.items():
        np.testing.assert_allclose(parts[method], expected, atol=1e-5)


def test_similarity_of_layers_is_the_same(fake_sheets):
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, 5, 3, stride=2), nn.ReLU()).eval()
    none = np.zeros(7, dtype=bool)
    examples = Examples(np.arange(7), np.zeros(7, dtype=int), none, none)

    def grams():
        with tqdm(total=7) as bar:
            found = gram_matrices(network, ["0", "1"], fake_sheets, examples, 7, torch.device("cpu"), 0, bar)
            assert bar.n == 7
        return found

    whole = grams()
    cramp(network)
    for module, parts in grams().items():
        np.testing.assert_allclose(parts, whole[module], rtol=1e-4, atol=1e-4 * np.abs(whole[module]).max())


def test_robustness_to_noise_is_the_same(train, room, fake_sheets, fake_split):
    classifier, _ = train(100)

    def scores():
        how: dict[str, Any] = {"batch_size": 8, "device": "cpu", "n_samples": 10, "seed": 0}
        return measure_noise(classifier, fake_sheets, fake_split, levels=[0, 0.3], repeats=2, **how)

    whole = scores()
    room(ROOM)
    pd.testing.assert_frame_equal(scores(), whole, atol=1e-6)
