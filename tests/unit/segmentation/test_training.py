import json

import numpy as np
import pytest
import torch

from steel_xai import loop
from steel_xai.epochs import validate_epoch
from steel_xai.errors import InputError
from steel_xai.loop import CHECKPOINT
from steel_xai.segmentation.segmenter import check_lineage, predict, predict_labels, restore_segmenter
from steel_xai.segmentation.training import train_segmenter

from .conftest import CLASSES


@pytest.fixture
def train(sheets, masks, split, parameters, tiny_network, tmp_path):
    def run(folder="run", loss="cross_entropy", sheets=sheets, masks=masks, split=split, classes=CLASSES, **changes):
        network = parameters.networks.fcn32_cross_entropy.model_copy(update={"loss": loss})
        return train_segmenter(
            sheets,
            masks,
            split,
            classes=classes,
            network=network,
            parameters=parameters.training.model_copy(update=changes),
            dice_smoothing=1.0,
            seed=5,
            folder=tmp_path / folder,
            data_source="fake",
        )

    return run


def assert_same_result(first, second):
    (one, history), (other, other_history) = first, second
    state, other_state = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(state[name], other_state[name]) for name in state)
    assert history.drop(columns="seconds").equals(other_history.drop(columns="seconds"))


@pytest.mark.parametrize("loss", ["cross_entropy", "soft_dice"])
def test_squares_are_learned_with_either_loss(train, loss, sheets, masks):
    segmenter, history = train(loss=loss, epochs=25, classes={1: "bright"})
    assert history["validation_dice"].max() > 0.9
    labels = predict_labels(segmenter, sheets, np.array([28, 29]), batch_size=2, device="cpu")
    assert (labels == (masks[[28, 29]] == 1)).mean() > 0.98
    assert not segmenter.network.training


def test_several_classes_are_told_apart(train, sheets, masks):
    segmenter, _ = train(epochs=25)
    labels = predict_labels(segmenter, sheets, np.array([28, 29]), batch_size=2, device="cpu")
    truth = np.where(masks[[28, 29]] == 4, 2, masks[[28, 29]])
    assert (labels == truth).mean() > 0.98
    assert set(np.unique(labels)) == {0, 1, 2}


def test_history_speaks_of_dice(train):
    _, history = train(epochs=1)
    assert history.columns.tolist() == [
        "epoch",
        "train_loss",
        "train_dice",
        "validation_loss",
        "validation_dice",
        "learning_rate",
        "seconds",
    ]


def test_description_names_outputs_masks_and_what_auto_stood_for(train):
    about = train(epochs=1, learning_rate="auto", random_flips="auto")[0].description
    assert about.kind == "segmenter"
    assert (about.outputs, about.classes) == (["no defect", "bright", "dark"], [1, 3])
    assert (about.architecture, about.encoder, about.loss) == ("fcn32", "vgg11_small", "cross_entropy")
    assert about.parameters["learning_rate"] == 2e-3
    assert about.parameters["random_flips"] is True
    assert (about.weights, about.n_train, about.tensor_size) == ("random", 18, (32, 48))


def test_training_killed_in_mid_epoch_ends_as_if_uninterrupted(train, monkeypatch, tmp_path):
    calls = []

    def killed_in_second_epoch(*args, **options):
        calls.append(1)
        if len(calls) == 2:
            raise OSError("killed")
        return validate_epoch(*args, **options)

    with monkeypatch.context() as patch:
        patch.setattr(loop, "validate_epoch", killed_in_second_epoch)
        with pytest.raises(OSError, match="killed"):
            train("killed")
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    assert_same_result(train("killed"), train("whole"))


def test_checkpoint_of_another_loss_is_not_resumed(train, monkeypatch):
    def killed(*args, **options):
        raise OSError("killed")

    expected = train("own", loss="soft_dice")
    train("shared", epochs=1)
    assert_same_result(train("shared", loss="soft_dice"), expected)


def test_restored_segmenter_predicts_the_same(train, sheets):
    segmenter, _ = train(epochs=1)
    restored = restore_segmenter(segmenter.description, segmenter.network.state_dict())
    rows = np.array([3, 4, 9])
    before, after = (
        np.concatenate(list(predict(one, sheets, rows, batch_size=2, device="cpu"))) for one in (segmenter, restored)
    )
    np.testing.assert_array_equal(before, after)


def test_prediction_goes_batch_by_batch_in_the_order_of_the_rows(train, sheets):
    segmenter, _ = train(epochs=1)
    rows = np.array([7, 2, 29, 0, 2])
    batches = list(predict(segmenter, sheets, rows, batch_size=2, device="cpu"))
    assert [batch.shape for batch in batches] == [(2, 3, 32, 48), (2, 3, 32, 48), (1, 3, 32, 48)]
    together = np.concatenate(batches)
    assert together.dtype == np.float32
    np.testing.assert_allclose(together.sum(axis=1), 1, atol=1e-6)
    alone = np.concatenate([next(predict(segmenter, sheets, rows[[i]], batch_size=1, device="cpu")) for i in range(5)])
    np.testing.assert_allclose(together, alone, atol=1e-6)
    np.testing.assert_allclose(together[1], together[4], atol=1e-6)  # the same sheet, in batches of other sizes


def test_masks_and_split_must_be_those_of_the_training(train, sheets, masks, split):
    about = train(epochs=1)[0].description
    check_lineage(about, sheets, masks, split, "fake")
    with pytest.raises(InputError, match="other masks"):
        check_lineage(about, sheets, np.flip(masks, axis=2).copy(), split, "fake")
    with pytest.raises(InputError, match="its split"):
        check_lineage(about, sheets, masks, split.iloc[::-1], "fake")
    check_lineage(about, sheets, masks[:0], split, "another source")


def test_labels_without_masks_are_refused(train, masks):
    with pytest.raises(InputError, match="without masks"):
        train(masks=masks[:0])


def test_class_without_a_training_mask_is_named(train):
    with pytest.raises(InputError, match=r"'scratch' \(class 2\)"):
        train(classes={1: "bright", 2: "scratch"})


def test_masks_of_other_sheets_are_refused(train, masks):
    with pytest.raises(InputError, match="masks: expected"):
        train(masks=masks[:-1])


def test_epochs_can_be_followed_while_it_trains(train, tmp_path):
    train()
    lines = (tmp_path / "run" / "progress.jsonl").read_text().splitlines()
    assert [json.loads(line)["epoch"] for line in lines] == [1, 2, 3]
