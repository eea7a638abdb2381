from dataclasses import replace
from statistics import NormalDist
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.evaluation.noise_robustness import compare_under_noise, measure_noise, train_noise_twin
from steel_xai.inference import predict
from steel_xai.metrics import SCORES, bootstrap_intervals, labels_and_probabilities, score
from steel_xai.parameters import OWN_ARCHITECTURES, EvaluationParameters, NoiseRobustnessParameters
from steel_xai.training import train_classifier

OUTPUTS = ["no defect", "defect"]


class Brightness(nn.Module):
    """Finds a defect where the mean of a part of the sheet is above a level: logits [0, sharpness (mean - level)]."""

    def __init__(self, level, height, width):
        super().__init__()
        self.level, self.height, self.width = level, height, width

    def forward(self, images):
        defect = 50 * (images[:, :, : self.height, : self.width].mean(dim=(1, 2, 3)) - self.level)
        return torch.stack([torch.zeros_like(defect), defect], dim=1)


@pytest.fixture(autouse=True)
def tiny_is_known(monkeypatch, tiny_architecture):
    monkeypatch.setattr("steel_xai.parameters.architectures.OWN_ARCHITECTURES", (*OWN_ARCHITECTURES, tiny_architecture))


@pytest.fixture
def classifier(fake_sheets, fake_split, training_parameters, tmp_path):
    return train_classifier(
        fake_sheets,
        fake_split,
        outputs=OUTPUTS,
        parameters=training_parameters.model_copy(update={"epochs": 2, "noise": 0.1}),
        seed=3,
        folder=tmp_path / "training",
        data_source="fake",
    )[0]


@pytest.fixture
def seen(classifier):
    """What goes into the network, batch by batch."""
    batches = []
    classifier.network.register_forward_pre_hook(lambda _, inputs: batches.append(inputs[0].clone()))
    return batches


def plain_sheets(n):
    """Sheets of one grey level, which is 114 or, with a defect, 118; all are test sheets."""
    labels = np.arange(n) % 2
    sheets = np.empty((n, 1, 32, 32), np.uint8)
    sheets[:] = 114 + 4 * labels[:, None, None, None]
    split = pd.DataFrame({"row": np.arange(n), "label": labels, "split": "test", "flip_h": 0, "flip_v": 0})
    return sheets, split


def mean_normalised(grey):
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    return float(((grey / 255 - mean) / std).mean())


def measure(classifier, sheets, split, levels, **changes):
    arguments: dict[str, Any] = {"repeats": 2, "batch_size": 5, "device": "cpu", "n_samples": 200, "seed": 0}
    return measure_noise(classifier, sheets, split, levels=levels, **(arguments | changes))


def test_level_zero_scores_the_plain_predictions_in_one_pass(classifier, fake_sheets, fake_split, seen):
    table = measure(classifier, fake_sheets, fake_split, [0])
    assert [len(batch) for batch in seen] == [5, 5, 2]
    predictions = predict(classifier, fake_sheets, fake_split, batch_size=5, device="cpu")
    labels, probabilities = labels_and_probabilities(predictions, "test")
    row = table.iloc[0]
    assert row[list(SCORES)].to_dict() == score(labels, probabilities)
    assert (row["level"], row["n"], row["repeats"], row["trained_with_noise"]) == (0, 12, 1, 0.1)
    intervals = bootstrap_intervals(labels, probabilities, 200, 0)
    for name in ("accuracy", "balanced_accuracy"):
        assert [row[f"{name}_low"], row[f"{name}_high"]] == pytest.approx(intervals[name])


def test_one_row_a_level_in_ascending_order(classifier, fake_sheets, fake_split):
    table = measure(classifier, fake_sheets, fake_split, [0.2, 0, 0.1, 0.2], repeats=3)
    assert table["level"].tolist() == [0, 0.1, 0.2]
    assert table["repeats"].tolist() == [1, 3, 3]


def test_noise_is_standard_normal_and_scaled_by_the_level(classifier, fake_sheets, fake_split, seen):
    measure(classifier, fake_sheets, fake_split, [0, 0.1, 0.3], batch_size=12)
    plain, low, high, low_again, high_again = seen
    first, second = (low - plain) / 0.1, (low_again - plain) / 0.1
    torch.testing.assert_close((high - plain) / 0.3, first, atol=1e-4, rtol=0)
    torch.testing.assert_close((high_again - plain) / 0.3, second, atol=1e-4, rtol=0)
    for noise in (first, second):
        assert abs(noise.mean()) < 0.02
        assert noise.std() == pytest.approx(1, abs=0.02)
    # Neither repeats nor sheets nor channels share their noise.
    for one, other in ((first, second), (first[0], first[1]), (first[:, 0], first[:, 1])):
        assert abs(np.corrcoef(one.numpy().ravel(), other.numpy().ravel())[0, 1]) < 0.05


def test_noise_of_a_sheet_depends_on_seed_and_row_but_on_no_other_sheet(classifier, fake_sheets, fake_split, seen):
    def noisy(split, **changes):
        seen.clear()
        measure(classifier, fake_sheets, split, [0.1], repeats=1, **changes)
        return torch.cat(seen)

    images = noisy(fake_split, batch_size=12)
    torch.testing.assert_close(noisy(fake_split, batch_size=5), images)
    torch.testing.assert_close(noisy(fake_split[50:]), images[2:])
    assert (noisy(fake_split, seed=1) != images).float().mean() > 0.99


def test_same_seed_gives_the_same_table(classifier, fake_sheets, fake_split):
    first, second = (measure(classifier, fake_sheets, fake_split, [0, 0.3]) for _ in range(2))
    assert first.equals(second)


def test_noise_averages_out_for_a_network_that_sees_the_mean(classifier):
    sheets, split = plain_sheets(40)
    network = Brightness(mean_normalised(116), 32, 32)
    table = measure(replace(classifier, network=network), sheets, split, [0, 0.1, 0.3])
    assert (table[[*SCORES, "accuracy_low", "balanced_accuracy_high"]] == 1).all(axis=None)


def test_accuracy_of_a_network_that_sees_one_pixel_falls_as_the_normal_distribution_says(classifier):
    sheets, split = plain_sheets(400)
    network = Brightness(mean_normalised(116), 1, 1)
    table = measure(replace(classifier, network=network), sheets, split, [0, 0.02, 0.3], repeats=4, batch_size=64)
    margin = mean_normalised(118) - mean_normalised(116)
    # The noise of three channels is averaged.
    expected = [1, *(NormalDist().cdf(margin * 3**0.5 / level) for level in (0.02, 0.3))]
    assert table["accuracy"].tolist() == pytest.approx(expected, abs=0.04)
    assert 0.5 < expected[2] < 0.65 < expected[1]


def test_repeats_of_a_sheet_do_not_count_as_further_sheets(classifier):
    sheets, split = plain_sheets(40)
    split["label"] = np.arange(40) // 20
    network = Brightness(mean_normalised(116), 32, 32)  # right for every second sheet, whatever the noise
    once, often = (
        measure(replace(classifier, network=network), sheets, split, [0.1], repeats=repeats).iloc[0]
        for repeats in (1, 6)
    )
    ends = ["accuracy", "accuracy_low", "accuracy_high", "balanced_accuracy_low", "balanced_accuracy_high"]
    assert once[ends].tolist() == pytest.approx(often[ends].tolist())
    assert once["accuracy"] == 0.5
    assert once["accuracy_high"] - once["accuracy_low"] == pytest.approx(2 * 1.96 * (0.25 / 40) ** 0.5, abs=0.06)


def test_scores_that_are_undefined_are_missing(classifier):
    sheets, split = plain_sheets(8)
    row = measure(classifier, sheets, split.assign(label=1), [0.1]).iloc[0]
    assert np.isnan(row["auc"])
    assert row["accuracy"] == row["balanced_accuracy"]


def test_twin_differs_in_the_noise_augmentation_alone(classifier, fake_sheets, fake_split, white_stains, tmp_path):
    masks = np.zeros((60, 64, 40), np.uint8)
    twin = train_noise_twin(
        classifier, fake_sheets, masks, fake_split, white_stains=white_stains, folder=tmp_path / "twin"
    )
    first, second = classifier.description.model_dump(), twin.description.model_dump()
    assert second["parameters"].pop("noise") == 0
    assert first["parameters"].pop("noise") == 0.1
    differing = {name for name in first if first[name] != second[name]}
    assert differing <= {"best_epoch", "seconds_training"}
    other = train_noise_twin(twin, fake_sheets, masks, fake_split, white_stains=white_stains, folder=tmp_path / "other")
    assert other.description.parameters["noise"] == 0.15


def test_comparison_shows_every_classifier_the_same_noise(classifier, fake_sheets, fake_split, seen):
    twin = replace(classifier, description=classifier.description.model_copy(update={"seed": 99}))
    parameters = NoiseRobustnessParameters(levels=[0, 0.3], repeats=2)
    evaluation = EvaluationParameters.model_construct(batch_size=7, bootstrap_samples=100)
    table = compare_under_noise(
        [classifier, twin], fake_sheets, fake_split, parameters=parameters, evaluation=evaluation
    )
    first, second = np.array_split(np.arange(len(seen)), 2)
    torch.testing.assert_close(torch.cat([seen[k] for k in first]), torch.cat([seen[k] for k in second]))
    assert len(table) == 4
    pd.testing.assert_frame_equal(table[:2], table[2:].reset_index(drop=True))
    alone = measure(classifier, fake_sheets, fake_split, [0, 0.3], batch_size=7, n_samples=100, seed=3)
    pd.testing.assert_frame_equal(table[:2], alone)
