from collections import OrderedDict
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from steel_xai.errors import InputError
from steel_xai.inspection.probe import accuracies, layer_probe

PARAMETERS: dict[str, Any] = {
    "n_features": 16,
    "inverse_regularisation": [0.01, 0.1],
    "folds": 2,
    "shuffles": 3,
    "bootstrap_samples": 200,
    "batch_size": 16,
    "n_jobs": 1,
    "device": "cpu",
    "seed": 0,
}


def brightest_square(weight):
    """A network whose first module sees the brightness of squares, and whose second keeps ``weight`` of it."""
    mixing = nn.Conv2d(3, 4, 1)
    features = nn.Sequential(nn.AvgPool2d(16, 8), mixing)
    classifier = nn.Sequential(nn.AdaptiveMaxPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    network = nn.Sequential(OrderedDict(features=features, classifier=classifier))
    torch.manual_seed(0)
    with torch.no_grad():
        mixing.weight.copy_(weight * torch.rand(4, 3, 1, 1))
        nn.init.zeros_(mixing.get_parameter("bias"))
    return network


@pytest.fixture
def network():
    return brightest_square(1.0)


@pytest.fixture
def probe(network, fake_sheets, fake_split):
    return layer_probe(network, fake_sheets, fake_split, ["no defect", "defect"], **PARAMETERS)


def test_rows_are_the_modules_with_their_sizes(probe):
    assert probe["module"].tolist() == ["features.0", "features.1", "classifier.0", "classifier.2"]
    assert probe["area"].tolist() == ["features"] * 2 + ["classifier"] * 2
    assert probe["depth"].tolist() == [1, 2, 3, 4]
    assert probe["n_features"].tolist() == [12, 16, 4, 2]
    assert (probe["n_train"] == 36).all()
    assert (probe["n_test"] == 12).all()
    assert probe["C"].isin([0.01, 0.1]).all()
    assert (probe["majority_accuracy"] == 0.5).all()
    assert (probe["chance_balanced_accuracy"] == 0.5).all()


def test_a_bright_square_is_read_off_but_not_from_shuffled_labels(probe):
    first = probe.iloc[0]
    assert first["accuracy"] == first["balanced_accuracy"] == 1
    assert first["shuffled_accuracy"] < 0.8
    assert first["selectivity"] == pytest.approx(1 - first["shuffled_accuracy"])
    # Without weights, the first module is the same in a network of random ones.
    assert first["random_network_accuracy"] == 1
    assert first["gain"] == first["gain_low"] == first["gain_high"] == 0


def test_a_module_that_is_dead_in_the_trained_network_alone_loses_to_random_weights(fake_sheets, fake_split):
    table = layer_probe(brightest_square(0.0), fake_sheets, fake_split, ["no defect", "defect"], **PARAMETERS)
    dead = table.iloc[1]
    assert dead["accuracy"] == dead["shuffled_accuracy"] == 0.5
    assert dead["random_network_accuracy"] == 1
    assert dead["gain"] == -0.5
    assert dead["selectivity"] == 0


def test_intervals_enclose_their_values(probe):
    names = [name.removesuffix("_low") for name in probe if name.endswith("_low")]
    assert len(names) == 9
    for name in names:
        assert (probe[f"{name}_low"] <= probe[name]).all()
        assert (probe[name] <= probe[f"{name}_high"]).all()
    # Shuffles differ, so that an interval is left even where no sheet is in doubt.
    assert (probe["shuffled_accuracy_low"] < probe["shuffled_accuracy_high"]).any()


def test_equal_seeds_give_equal_tables_whatever_the_number_of_jobs(network, probe, fake_sheets, fake_split):
    again = layer_probe(network, fake_sheets, fake_split, ["no defect", "defect"], **{**PARAMETERS, "n_jobs": 2})
    pd.testing.assert_frame_equal(again, probe)


def test_copies_are_no_training_sheets_and_validation_is_left_alone(network, probe, fake_sheets, fake_split):
    copies = fake_split[fake_split["split"] == "train"].assign(copy=1, flip_h=True, label=0)
    split = pd.concat(
        [fake_split.assign(label=fake_split["label"].where(fake_split["split"] != "validation", 0)), copies]
    )
    again = layer_probe(network, fake_sheets, split, ["no defect", "defect"], **PARAMETERS)
    pd.testing.assert_frame_equal(again, probe)


@pytest.mark.parametrize("rare", [1, 2])
def test_a_class_of_few_training_sheets_is_probed_all_the_same(network, fake_sheets, fake_split, rare):
    split = fake_split.assign(label=fake_split["label"].where(fake_split["row"] % 12 != 11, 2))
    train = split["split"] == "train"
    split.loc[split[train & (split["label"] == 2)].index[rare:], "label"] = 1
    table = layer_probe(network, fake_sheets, split, ["no defect", "chip", "crack"], **{**PARAMETERS, "folds": 3})
    assert table["accuracy"].between(0.5, 1).all()
    if rare == 1:
        assert (table["C"] == 0.01).all()
    assert table["chance_balanced_accuracy"].iloc[0] == pytest.approx(1 / 3)


def test_a_class_without_training_sheets_is_refused_by_name(network, fake_sheets, fake_split):
    with pytest.raises(InputError, match="no training sheet is labelled crack"):
        layer_probe(network, fake_sheets, fake_split, ["no defect", "chip", "crack"], **PARAMETERS)


@settings(deadline=None, max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 3), st.booleans(), st.integers(0, 3)), min_size=1, max_size=12).filter(
        lambda sheets: any(count for *_, count in sheets)
    )
)
def test_accuracies_are_those_of_the_sheets_written_out(sheets):
    labels, right, counts = (np.array(column) for column in zip(*sheets, strict=True))
    correct = np.stack([right, ~right], axis=1).astype(float)
    found = accuracies(correct, labels, counts[None].astype(float))[0]
    drawn = np.repeat(np.arange(len(labels)), counts)
    for v in range(2):
        truth = labels[drawn]
        recalls = [correct[drawn][truth == k, v].mean() for k in np.unique(truth)]
        assert found[:, v] == pytest.approx([correct[drawn, v].mean(), np.mean(recalls)])


def test_accuracies_agree_with_scikit_learn():
    rng = np.random.default_rng(0)
    labels, predicted = rng.integers(0, 4, 50), rng.integers(0, 4, 50)
    found = accuracies((labels == predicted)[:, None].astype(float), labels, np.ones((1, 50)))
    assert found[0, :, 0] == pytest.approx([np.mean(labels == predicted), balanced_accuracy_score(labels, predicted)])
