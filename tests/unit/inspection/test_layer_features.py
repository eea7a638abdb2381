from collections import OrderedDict
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.batches import Examples, load_batch
from steel_xai.inspection.layer_features import layer_features, reducer


@pytest.fixture
def network():
    torch.manual_seed(0)
    features = nn.Sequential(nn.Conv2d(3, 6, 3), nn.ReLU(), nn.AdaptiveAvgPool2d(1))
    return nn.Sequential(OrderedDict(features=features, classifier=nn.Sequential(nn.Flatten(), nn.Linear(6, 2))))


@pytest.fixture
def examples():
    none = np.zeros(7, dtype=bool)
    return Examples(np.arange(7), np.zeros(7, dtype=int), none, none)


def computed(network, sheets, examples, batch_size):
    return layer_features(
        network,
        sheets,
        examples,
        ["features.0", "features.2", "classifier.1"],
        n_features=12,
        batch_size=batch_size,
        device=torch.device("cpu"),
        seed=0,
    )


def test_a_map_becomes_mean_and_maximum_of_each_cell():
    # Two channels and 8 features leave two cells, which lie side by side in a map wider than high.
    output = torch.tensor([[[1.0, 2, 5, 7], [3, 4, 5, 3]], [[0, 0, 0, 0], [0, 8, 0, -4]]])[None]
    assert reducer(8, 0)(output).tolist() == [[2.5, 5, 2, -1, 4, 7, 8, 0]]


def test_a_map_higher_than_wide_is_divided_into_rows():
    output = torch.arange(8.0).reshape(1, 1, 8, 1)
    assert reducer(4, 0)(output).tolist() == [[1.5, 5.5, 3, 7]]


def test_tokens_are_pooled_along_their_sequence():
    tokens = torch.tensor([[[1.0, 10], [2, 20], [3, 30], [4, 40]]])
    assert reducer(8, 0)(tokens).tolist() == [[1.5, 3.5, 15, 35, 2, 4, 20, 40]]


def test_short_vectors_and_single_cells_stay_as_they_are():
    vector = torch.tensor([[1.0, 2, 3]])
    assert torch.equal(reducer(3, 0)(vector), vector)
    assert torch.equal(reducer(3, 0)(vector[:, :, None, None]), vector)


def test_long_vectors_are_projected_by_one_matrix_that_nearly_keeps_distances():
    vectors = torch.from_numpy(np.random.default_rng(0).normal(size=(20, 4000)).astype(np.float32))
    short = reducer(512, 3)(vectors)
    assert short.shape == (20, 512)
    assert torch.equal(short[7:9], reducer(512, 3)(vectors)[7:9])
    assert not torch.equal(short, reducer(512, 4)(vectors))
    ratio = torch.pdist(short) / torch.pdist(vectors)
    assert ((ratio > 0.85) & (ratio < 1.15)).all()


@pytest.mark.parametrize("shape", [(2, 40, 9, 31), (2, 3, 1, 1), (2, 5, 7, 1), (2, 30), (2, 17, 16), (2, 3, 4, 5, 6)])
def test_no_output_gets_more_features_than_allowed(shape):
    reduced = reducer(16, 0)(torch.rand(shape))
    assert reduced.shape[0] == 2
    assert 1 <= reduced.shape[1] <= 16
    assert reduced.dtype == torch.float32


def test_features_are_those_of_the_modules_outputs_whatever_the_batches(network, fake_sheets, examples):
    found = computed(network, fake_sheets, examples, batch_size=3)
    with torch.no_grad():
        maps = network.features[:1](load_batch(fake_sheets, examples, torch.device("cpu")))
        pooled = network.features[1:](maps).flatten(1)
    assert np.allclose(found["features.0"], torch.cat([maps.mean((2, 3)), maps.amax((2, 3))], dim=1), atol=1e-6)
    assert np.allclose(found["features.2"], pooled, atol=1e-6)
    assert np.allclose(found["classifier.1"], network.classifier(pooled).detach(), atol=1e-6)
    for name, values in computed(network, fake_sheets, examples, batch_size=7).items():
        assert values.dtype == np.float32
        assert np.allclose(values, found[name], atol=1e-6)


def test_flips_of_the_examples_are_seen(network, fake_sheets, examples):
    # Two cells of the one map that is left: a sheet flipped left-right swaps them.
    network.features = nn.Sequential(nn.AdaptiveAvgPool2d((1, 2)), nn.Conv2d(3, 1, 1))
    network.classifier = nn.Sequential(nn.Flatten(), nn.Linear(2, 2))
    how: dict[str, Any] = {"n_features": 4, "batch_size": 4, "device": torch.device("cpu"), "seed": 0}
    straight = layer_features(network, fake_sheets, examples, ["features.1"], **how)["features.1"]
    flipped = examples.flipped(~examples.flip_h, examples.flip_v)
    mirrored = layer_features(network, fake_sheets, flipped, ["features.1"], **how)["features.1"]
    assert np.allclose(mirrored, straight[:, [1, 0, 3, 2]], atol=1e-6)
    assert not np.allclose(mirrored, straight, atol=1e-4)
