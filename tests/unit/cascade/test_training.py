from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
import torch
from tests.unit.cascade.conftest import CLASS_NAMES

from steel_xai import loop
from steel_xai.cascade.steps import check_lineage, mask_probabilities
from steel_xai.cascade.training import draw_sheets, train_unets
from steel_xai.epochs import train_epoch
from steel_xai.loop import CHECKPOINT
from steel_xai.segmentation.training import train_segmenter


def _split(labels, parts, copies=0):
    n = len(labels)
    return pd.DataFrame({"row": np.arange(n), "label": labels, "split": parts, "copy": copies})


def test_every_sheet_with_the_class_is_drawn_and_others_in_proportion():
    labels = [2, 0, 0, 3, 1, 0, 0, 0] * 2
    split = _split(labels, ["train"] * 8 + ["validation"] * 8)
    drawn = draw_sheets(split, 2, 1.5, seed=0)
    for part in ("train", "validation"):
        has_class = drawn.loc[drawn["split"] == part, "label"].isin([2, 3])
        assert has_class.sum() == 2
        assert (~has_class).sum() == 3
    assert drawn["row"].is_monotonic_increasing


def test_test_sheets_and_copies_are_never_drawn():
    split = _split(
        [1, 1, 0, 1, 0, 1], ["train", "test", "train", "validation", "validation", "train"], [0, 0, 0, 0, 0, 1]
    )
    assert draw_sheets(split, 1, 99, seed=0)["row"].tolist() == [0, 2, 3, 4]


def test_draw_follows_the_seed_and_differs_between_classes():
    split = _split([1, 2] + [0] * 60 + [3, 0], ["train"] * 62 + ["validation"] * 2)
    first, again, other = (draw_sheets(split, 1, 4, seed)["row"].tolist() for seed in (0, 0, 1))
    assert first == again != other
    assert set(first) - {0} != set(draw_sheets(split, 2, 4, 0)["row"]) - {1}


def test_part_without_the_class_still_gets_a_sheet():
    drawn = draw_sheets(_split([1, 0, 0], ["train", "train", "validation"]), 1, 1, seed=0)
    assert drawn["split"].tolist() == ["train", "train", "validation"]


@pytest.fixture
def train(tmp_path, sheets, masks, split, parameters):
    def run(folder="run"):
        return train_unets(
            sheets,
            masks,
            split,
            class_names=CLASS_NAMES,
            network=parameters.network,
            parameters=parameters.training,
            dice_smoothing=1,
            negatives_per_positive=1,
            seed=0,
            folder=tmp_path / folder,
            data_source="toy",
        )

    return run


def test_each_class_gets_a_network_that_belongs_to_the_whole_split(train, steps, sheets, masks, gate_split, split):
    unets, history = train()
    assert {number: unet.description.outputs for number, unet in unets.items()} == {
        1: ["no defect", "bright"],
        2: ["no defect", "dark"],
    }
    assert list(history["class"]) == [1, 2]
    (found,) = mask_probabilities(unets[2], 2, sheets, np.arange(2), batch_size=2, device="cpu")
    assert found.shape == (2, 32, 64)
    check_lineage(type(steps)(steps.gate, steps.labels, unets, CLASS_NAMES), sheets, masks, gate_split, split, "toy")


def fail_in_training(patch, number, error):
    """Make the training of a class fail in its first epoch."""
    trainings = []

    def fail(*args, **options):
        trainings.append(1)
        if len(trainings) == number:
            raise error
        return train_epoch(*args, **options)

    patch.setattr(loop, "train_epoch", fail)
    return trainings


def test_killed_run_repeats_no_finished_class(train, monkeypatch, tmp_path):
    whole, whole_history = train("whole")
    with monkeypatch.context() as patch:
        fail_in_training(patch, 2, OSError("killed"))
        with pytest.raises(OSError, match="killed"):
            train("killed")
    trainings = fail_in_training(monkeypatch, 99, None)
    unets, history = train("killed")
    assert len(trainings) == 1
    for number, unet in unets.items():
        expected = whole[number].network.state_dict()
        assert all(torch.equal(expected[name], value) for name, value in unet.network.state_dict().items())
    assert history.drop(columns="seconds").equals(whole_history.drop(columns="seconds"))
    assert not list(tmp_path.rglob(CHECKPOINT))


def test_interrupted_class_ends_the_run_and_is_gone_on_with(train, monkeypatch):
    def interrupted(*args, **options):
        unet, history = train_segmenter(*args, **options)
        about = unet.description.model_copy(update={"interrupted": True})
        return replace(unet, description=about), history

    with monkeypatch.context() as patch:
        patch.setattr("steel_xai.cascade.training.train_segmenter", interrupted)
        with pytest.raises(KeyboardInterrupt):
            train()
    trainings = fail_in_training(monkeypatch, 99, None)
    assert sorted(train()[0]) == [1, 2]
    assert len(trainings) == 1
