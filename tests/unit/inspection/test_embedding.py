from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import silhouette_score
from torch import nn

from steel_xai.batches import Examples, load_batch
from steel_xai.errors import InputError
from steel_xai.inspection.embedding import layer_embedding, nearest_answers

PARAMETERS: dict[str, Any] = {
    "n_sheets": 200,
    "modules": 3,
    "n_features": 8,
    "perplexity": 30.0,
    "neighbours": 3,
    "bootstrap_samples": 100,
    "batch_size": 16,
    "device": "cpu",
    "seed": 0,
}


@pytest.fixture
def network():
    torch.manual_seed(0)
    features = nn.Sequential(nn.AvgPool2d(16, 8), nn.Conv2d(3, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 1))
    classifier = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))


@pytest.fixture
def embedding(network, fake_sheets, fake_split):
    return layer_embedding(network, fake_sheets, fake_split, **PARAMETERS)


def test_every_test_sheet_has_a_point_in_modules_from_first_to_last(embedding, fake_split):
    points, numbers = embedding
    assert numbers["module"].tolist() == ["features.0", "features.2", "classifier.2"]
    assert numbers["area"].tolist() == ["features", "features", "classifier"]
    assert numbers["depth"].tolist() == [1, 3, 6]
    assert numbers[["n", "k"]].to_numpy().tolist() == [[12, 3]] * 3
    test = fake_split[fake_split["split"] == "test"]
    for module, part in points.groupby("module", sort=False):
        assert part[["row", "label"]].to_numpy().tolist() == test[["row", "label"]].to_numpy().tolist(), module
        assert np.isfinite(part[["x", "y"]]).all(axis=None)
        assert part["x"].std() > 0
    assert points.columns.tolist() == ["module", "depth", "row", "label", "x", "y"]


def test_sheets_with_a_bright_square_are_neighbours(embedding):
    _, numbers = embedding
    first = numbers.iloc[0]
    assert first["knn_accuracy"] == first["knn_balanced_accuracy"] == first["knn_accuracy_low"] == 1
    assert 0 < first["silhouette_low"] <= first["silhouette"] <= first["silhouette_high"] <= 1


def test_equal_seeds_give_equal_maps(network, embedding, fake_sheets, fake_split):
    again = layer_embedding(network, fake_sheets, fake_split, **PARAMETERS)
    for table, other in zip(again, embedding, strict=True):
        pd.testing.assert_frame_equal(table, other)


def test_chosen_modules_come_in_their_order_and_chosen_sheets_are_fewer(network, fake_sheets, fake_split):
    chosen = {"modules": ["classifier.2", "features.1"], "n_sheets": 6}
    points, numbers = layer_embedding(network, fake_sheets, fake_split, **{**PARAMETERS, **chosen})
    assert numbers["module"].tolist() == ["features.1", "classifier.2"]
    assert (numbers["n"] == 6).all()
    first, last = (points.loc[points["module"] == module, "row"].tolist() for module in numbers["module"])
    assert first == last
    assert points["row"].between(48, 59).all()


def test_more_modules_than_there_are_means_all(network, fake_sheets, fake_split):
    _, numbers = layer_embedding(network, fake_sheets, fake_split, **{**PARAMETERS, "modules": 99})
    assert numbers["depth"].tolist() == [1, 2, 3, 4, 5, 6]


def test_a_dead_module_puts_all_sheets_in_one_point(network, fake_sheets, fake_split):
    torch.nn.init.zeros_(network.features[1].weight)
    points, numbers = layer_embedding(network, fake_sheets, fake_split, **{**PARAMETERS, "modules": ["features.1"]})
    assert (points[["x", "y"]] == 0).all(axis=None)
    assert numbers["silhouette"].item() == 0


def test_sheets_of_one_class_have_no_silhouette(network, fake_sheets, fake_split):
    _, numbers = layer_embedding(network, fake_sheets, fake_split.assign(label=1), **PARAMETERS)
    assert numbers["silhouette"].isna().all()
    assert (numbers["knn_accuracy"] == 1).all()


def test_an_unknown_module_is_named_with_those_there_are(network, fake_sheets, fake_split):
    with pytest.raises(InputError, match=r"no features\.9, but features\.0, .*classifier\.2"):
        layer_embedding(network, fake_sheets, fake_split, **{**PARAMETERS, "modules": ["features.9"]})


def test_too_few_test_sheets_are_refused(network, fake_sheets, fake_split):
    with pytest.raises(InputError, match="3 test sheets"):
        layer_embedding(network, fake_sheets, fake_split.iloc[:51], **PARAMETERS)


def test_ties_of_neighbours_go_to_the_nearer_ones():
    # Seen from the first sheet: class 2 is nearest, classes 1 and 2 have two votes each, class 0 has one.
    features = np.array([0.0, 1, 2, 3, 4, 5, 90])[:, None]
    labels = np.array([0, 2, 1, 1, 2, 0, 1])
    assert nearest_answers(features, labels, 5)[0] == 2


def _slow_answers(features, labels, k):
    answers = []
    for i in range(len(labels)):
        order = [j for j in np.argsort(np.abs(features - features[i]), kind="stable") if j != i][:k]
        votes = {label: sum(labels[j] == label for j in order) for label in labels[order]}
        best = [label for label, count in votes.items() if count == max(votes.values())]
        answers.append(best)
    return answers


@settings(deadline=None, max_examples=50)
@given(st.lists(st.integers(0, 2), min_size=6, max_size=20), st.integers(1, 5), st.integers(0, 99))
def test_neighbours_agree_with_a_count_by_hand(labels, k, seed):
    labels = np.array(labels)
    features = np.random.default_rng(seed).normal(size=len(labels))
    answers = nearest_answers(features[:, None], labels, k)
    for answer, best in zip(answers, _slow_answers(features, labels, k), strict=True):
        assert answer in best


def test_silhouette_is_that_of_scikit_learn(network, embedding, fake_sheets, fake_split):
    _, numbers = embedding
    test = fake_split[fake_split["split"] == "test"]
    with torch.no_grad():
        logits = network(load_batch(fake_sheets, Examples.of(fake_split, "test"), torch.device("cpu"))).numpy()
    scaled = (logits - logits.mean(axis=0)) / logits.std(axis=0)
    assert numbers["silhouette"].iloc[2] == pytest.approx(silhouette_score(scaled, test["label"]), abs=1e-4)
