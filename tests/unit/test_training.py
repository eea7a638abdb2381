import json
import logging
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest
import torch
from safetensors import SafetensorError
from tests.conftest import tiny_network

from steel_xai import loop, models
from steel_xai.checkpoint import save_checkpoint
from steel_xai.classifier import restore_classifier
from steel_xai.epochs import validate_epoch
from steel_xai.errors import InputError
from steel_xai.inference import predict
from steel_xai.locks import exclusive
from steel_xai.loop import CHECKPOINT, best_epoch, is_exhausted
from steel_xai.parameters import PatchParameters
from steel_xai.training import train_classifier
from steel_xai.training_log import PROGRESS


@pytest.fixture
def train(fake_sheets, fake_split, training_parameters, tmp_path):
    def run(folder="run", sheets=fake_sheets, split=fake_split, seed=5, masks=None, **changes):
        return train_classifier(
            sheets,
            split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update=changes),
            seed=seed,
            folder=tmp_path / folder,
            data_source="fake",
            masks=masks,
        )

    return run


def assert_same_result(first, second):
    (one, history), (other, other_history) = first, second
    state, other_state = one.network.state_dict(), other.network.state_dict()
    assert all(torch.equal(state[name], other_state[name]) for name in state)
    assert history.drop(columns="seconds").equals(other_history.drop(columns="seconds"))
    assert one.description.best_epoch == other.description.best_epoch


def fail_in_epoch(monkeypatch, epoch, error):
    """Raise in the middle of an epoch, as a kill or Ctrl-C would stop it."""
    original = validate_epoch
    calls = []

    def evaluate(*args, **options):
        calls.append(1)
        if len(calls) == epoch:
            raise error
        return original(*args, **options)

    monkeypatch.setattr(loop, "validate_epoch", evaluate)


def record(epoch, accuracy, loss):
    return {"epoch": epoch, "validation_accuracy": accuracy, "validation_loss": loss}


def test_bright_squares_are_learned(train):
    classifier, history = train(epochs=12, learning_rate=0.02)
    assert history["validation_accuracy"].max() == 1
    assert history["train_loss"].iloc[-1] < history["train_loss"].iloc[0]
    assert not classifier.network.training


def test_one_seed_gives_one_result_bit_for_bit_and_another_another(train):
    first = train("a")
    assert_same_result(first, train("b"))
    weight, other = (run[0].network.state_dict()["classifier.3.weight"] for run in (first, train("c", seed=6)))
    assert not torch.equal(weight, other)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "sgd"])
def test_run_killed_in_mid_epoch_resumes_to_the_same_result(train, monkeypatch, optimizer, tmp_path):
    with monkeypatch.context() as patch:
        fail_in_epoch(patch, 3, OSError("killed"))
        with pytest.raises(OSError, match="killed"):
            train("killed", optimizer=optimizer)
    assert (tmp_path / "killed" / CHECKPOINT).exists()
    resumed = train("killed", optimizer=optimizer)
    assert_same_result(resumed, train("whole", optimizer=optimizer))
    assert not (tmp_path / "killed" / CHECKPOINT).exists()


def test_checkpoint_of_other_layers_is_left_alone(train, monkeypatch, tmp_path):
    with monkeypatch.context() as patch:
        fail_in_epoch(patch, 3, OSError("killed"))
        with pytest.raises(OSError, match="killed"):
            train("run")
    wider = tiny_network(2, 0.0, (64, 40))
    wider.get_submodule("features").register_module("3", torch.nn.Conv2d(8, 8, 5))
    with monkeypatch.context() as patch:
        patch.setitem(models.ARCHITECTURES, "tiny", lambda *_: wider)
        _, history = train("run")
    assert history["epoch"].tolist() == [1, 2, 3, 4]


def test_kill_minus_9_and_resume_end_as_uninterrupted(train, tmp_path, fake_sheets, fake_split, training_parameters):
    np.save(tmp_path / "sheets.npy", fake_sheets)
    fake_split.to_csv(tmp_path / "split.csv", index=False)
    script = """
        import json, os, signal, sys
        from pathlib import Path
        import numpy as np, pandas as pd, torch
        from steel_xai import loop, models, training
        from steel_xai.parameters import TrainingParameters
        from tests.conftest import tiny_network

        torch.set_num_threads(int(sys.argv[2]))
        models.ARCHITECTURES["tiny"] = tiny_network
        folder = Path(sys.argv[1])
        evaluate, calls = loop.validate_epoch, []
        def killed_in_third_epoch(*args, **options):
            calls.append(1)
            if len(calls) == 3:
                os.kill(os.getpid(), signal.SIGKILL)
            return evaluate(*args, **options)
        loop.validate_epoch = killed_in_third_epoch
        training.train_classifier(
            np.load(folder / "sheets.npy", allow_pickle=False), pd.read_csv(folder / "split.csv"),
            outputs=["no defect", "defect"],
            parameters=TrainingParameters.model_construct(**json.loads(sys.argv[3])),
            seed=5, folder=folder / "killed", data_source="fake",
        )
    """
    arguments = [str(tmp_path), str(torch.get_num_threads()), training_parameters.model_dump_json()]
    child = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), *arguments],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(path for path in sys.path if path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert child.returncode == -signal.SIGKILL, child.stderr
    assert len((tmp_path / "killed" / PROGRESS).read_text().splitlines()) == 2
    assert_same_result(train("killed"), train("whole"))
    assert len((tmp_path / "killed" / PROGRESS).read_text().splitlines()) == 4


def test_interruption_keeps_the_best_epoch_so_far_and_the_way_back(train, monkeypatch, tmp_path, caplog):
    with monkeypatch.context() as patch:
        fail_in_epoch(patch, 3, KeyboardInterrupt())
        classifier, history = train("stopped")
    assert classifier.description.interrupted
    assert classifier.description.epochs_run == len(history) == 2
    assert "Interrupted after epoch 2" in caplog.text
    resumed = train("stopped")
    assert not resumed[0].description.interrupted
    assert_same_result(resumed, train("whole"))


def test_interruption_before_the_first_epoch_is_passed_on(train, monkeypatch):
    fail_in_epoch(monkeypatch, 1, KeyboardInterrupt())
    with pytest.raises(KeyboardInterrupt):
        train()


@pytest.mark.parametrize("change", [{"seed": 6}, {"epochs": 5}, {"noise": 0.3}])
def test_checkpoint_of_another_run_is_not_resumed(train, monkeypatch, change, caplog):
    caplog.set_level(logging.INFO)
    with monkeypatch.context() as patch:
        fail_in_epoch(patch, 2, OSError("killed"))
        with pytest.raises(OSError, match="killed"):
            train("shared")
    result = train("shared", **change)
    assert "belongs to other data or parameters" in caplog.text
    assert_same_result(result, train("own", **change))


def test_damaged_checkpoint_is_reported_and_training_starts_anew(train, tmp_path, caplog):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / CHECKPOINT).write_bytes(b"damaged")
    assert_same_result(train("run"), train("other"))
    assert "is damaged" in caplog.text


def test_half_a_checkpoint_of_a_killed_run_goes(train, tmp_path):
    left_over = tmp_path / "run" / f"{CHECKPOINT}.123.part"
    left_over.parent.mkdir()
    left_over.write_text("half")
    train("run")
    assert not left_over.exists()


def test_full_disk_costs_the_checkpoint_not_the_training(train, monkeypatch, caplog):
    def fail(*args):
        raise SafetensorError("No space left on device (os error 28)")

    expected = train("whole")
    monkeypatch.setattr("steel_xai.loop.save_checkpoint", fail)
    assert_same_result(train("full"), expected)
    assert "No checkpoint after epoch 1" in caplog.text


def test_second_training_in_a_folder_is_told_why_it_stops(train, tmp_path):
    with exclusive(tmp_path / "run"), pytest.raises(InputError, match="another run is at work"):
        train("run")


def test_progress_is_one_line_an_epoch_and_equals_the_history(train, tmp_path):
    _, history = train()
    lines = [json.loads(line) for line in (tmp_path / "run" / PROGRESS).read_text().splitlines()]
    assert lines == history.to_dict("records")
    assert list(history.columns) == [
        "epoch",
        "train_loss",
        "train_accuracy",
        "validation_loss",
        "validation_accuracy",
        "learning_rate",
        "seconds",
    ]


def test_progress_can_be_followed_while_training_runs(train, tmp_path, monkeypatch):
    lengths = []

    def spy(*args):
        lengths.append(len((tmp_path / "run" / PROGRESS).read_text().splitlines()))
        save_checkpoint(*args)

    monkeypatch.setattr(loop, "save_checkpoint", spy)
    train()
    assert lengths == [0, 1, 2, 3]


def test_weights_of_the_best_epoch_are_kept(train, monkeypatch):
    scripted = iter([0.2, 0.9, 0.9, 0.4])
    snapshots = []
    original = loop._snapshot

    def validate(network, task):
        snapshots.append(original(network))
        accuracy = next(scripted)
        return 1 - accuracy, accuracy

    monkeypatch.setattr(loop, "validate_epoch", validate)
    classifier, _ = train()
    assert classifier.description.best_epoch == 2
    state = classifier.network.state_dict()
    assert all(torch.equal(state[name], snapshots[1][name]) for name in state)


def test_training_stops_when_patience_ends(train, monkeypatch):
    scripted = iter([0.5, 0.75, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5])

    def validate(network, task):
        accuracy = next(scripted)
        return 1 - accuracy, accuracy

    monkeypatch.setattr(loop, "validate_epoch", validate)
    classifier, history = train(epochs=8, patience=3)
    assert len(history) == 5
    assert (classifier.description.best_epoch, classifier.description.epochs_run) == (2, 5)


def test_best_epoch_breaks_ties_of_accuracy_by_loss_and_then_takes_the_first():
    history = [record(1, 0.8, 0.5), record(2, 0.9, 0.4), record(3, 0.9, 0.3), record(4, 0.9, 0.3), record(5, 0.7, 0.1)]
    assert best_epoch(history, "accuracy") == 3
    assert best_epoch(history, "loss") == 5


def test_patience_counts_from_the_best_epoch():
    history = [record(1, 0.9, 0.5), record(2, 0.8, 0.4), record(3, 0.8, 0.6)]
    assert is_exhausted(history, monitor="accuracy", patience=2)
    assert not is_exhausted(history, monitor="loss", patience=2)
    assert not is_exhausted([], monitor="loss", patience=1)


def test_description_resolves_auto_and_names_the_data(train):
    about = train(epochs=1)[0].description
    assert about.weights == "random"
    assert about.parameters["learning_rate"] == 2e-3
    assert about.parameters["random_flips"] is True
    assert about.parameters["batch_norm"] is about.batch_norm is True
    assert (about.n_train, about.tensor_size, about.n_channels) == (36, (64, 40), 1)


def test_overflowing_loss_says_what_to_change(train):
    with pytest.raises(InputError, match=r"epoch 1.*lower training\.learning_rate"):
        train(learning_rate=1e30, optimizer="sgd", gradient_clip=None, batch_norm=False, warmup_epochs=0)


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("split", "test", "no train sheets"),
        ("label", 2, "the outputs only"),
        ("row", 60, "past the 60 sheets"),
    ],
)
def test_unusable_split_is_an_error(train, fake_split, column, value, message):
    with pytest.raises(InputError, match=message):
        train(split=fake_split.assign(**{column: value}))


def test_sheets_of_another_kind_are_an_error(train, fake_sheets):
    with pytest.raises(InputError, match="expected uint8"):
        train(sheets=fake_sheets.astype(np.float32))


def test_colour_sheets_and_the_real_architecture_train(train, fake_sheets):
    classifier, history = train(
        sheets=np.repeat(fake_sheets, 3, axis=1), architecture="reduced_squeezenet", epochs=1, batch_size=36
    )
    assert classifier.description.n_channels == 3
    assert np.isfinite(history.to_numpy()).all()


def test_frozen_features_stay_as_they_were_and_the_head_learns(train):
    frozen, _ = train("frozen", frozen_features=True, random_flips=False)
    before, _ = train("start", frozen_features=True, random_flips=False, epochs=1, learning_rate=1e-30)
    after, start = frozen.network.state_dict(), before.network.state_dict()
    for name, value in after.items():
        assert torch.equal(value, start[name]) == name.startswith("features."), name


def test_frozen_training_resumes_bit_for_bit(train, monkeypatch):
    whole = train("whole", frozen_features=True)
    with monkeypatch.context() as patch:
        fail_in_epoch(patch, 3, RuntimeError("killed"))
        with pytest.raises(RuntimeError, match="killed"):
            train("part", frozen_features=True)
    assert_same_result(train("part", frozen_features=True), whole)


@pytest.fixture
def fake_masks():
    """Masks of the bright squares of ``fake_sheets``."""
    masks = np.zeros((60, 64, 40), np.uint8)
    masks[1::2, 20:36, 10:26] = 1
    return masks


PATCHES = PatchParameters(count=2, size=(64, 32), black_level=16, max_black=0.5)


def test_network_trained_on_windows_predicts_whole_sheets(train, fake_sheets, fake_masks, fake_split):
    classifier, history = train(patches=PATCHES, masks=fake_masks, epochs=12, learning_rate=0.02)
    predictions = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cpu")
    assert (predictions["predicted"] == predictions["label"]).mean() > 0.9
    assert classifier.description.patches == PATCHES
    restored = restore_classifier(classifier.description, classifier.network.state_dict())
    again = predict(restored, fake_sheets, fake_split, batch_size=8, device="cpu")
    assert again.equals(predictions)
    assert history["epoch"].iloc[-1] == 12


def test_windows_without_masks_are_refused(train):
    with pytest.raises(InputError, match="masks"):
        train(patches=PATCHES)
