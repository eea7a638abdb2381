import io
import os
import signal
import subprocess
import sys
import time

import cloudpickle
import numpy as np
import pytest
import torch
from torch import nn

from steel_xai import loop, training
from steel_xai.batches import Examples
from steel_xai.epochs import Task, reproducible
from steel_xai.errors import InputError
from steel_xai.locks import exclusive
from steel_xai.loop import CHECKPOINT, fit
from steel_xai.objectives import one_class
from steel_xai.parallel_training import GlobalBatchNorm2d, Group, check_devices, launch
from steel_xai.segmentation.losses import label_every_pixel
from steel_xai.training import train_classifier
from steel_xai.training_log import PROGRESS

CPU = torch.device("cpu")


def small_network():
    """With batch normalisation, whose statistics must be those of the whole batch."""
    with reproducible(3, CPU):
        return nn.Sequential(
            nn.Conv2d(3, 8, 3, bias=False),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
            nn.Linear(8, 2),
        )


def trained(sheets, split, parameters, folder, devices, weights="none", **changes):
    folder.mkdir(exist_ok=True)
    changes = {"learning_rate": 0.02, "random_flips": True, "noise": 0.1, "batch_size": 6, "epochs": 3} | changes
    train, validation = Examples.of(split, "train"), Examples.of(split, "validation")
    objective = one_class(train.labels, 2, weights)
    task = Task(sheets, train, validation, parameters.model_copy(update=changes), objective, 0, CPU)
    network = small_network()
    return network, fit(network, task, folder, "key", devices)


def test_shares_of_a_batch_are_disjoint_and_make_up_the_batch():
    batch = torch.arange(7.0)
    groups = [Group(rank, 3) for rank in range(3)]
    shares = [group.share(batch) for group in groups]
    assert sorted(torch.cat(shares).tolist()) == batch.tolist()
    assert [group.parts(7) for group in groups] == [3, 3, 3]


def test_a_batch_too_small_to_share_is_everyones():
    batch = torch.arange(2.0)
    groups = [Group(rank, 3) for rank in range(3)]
    assert all(torch.equal(group.share(batch), batch) for group in groups)
    assert [group.parts(2) for group in groups] == [1, 1, 1]


def equal_curves(curve, same_curve):
    assert len(curve.history) == len(same_curve.history) == 3
    for one, two in zip(curve.history, same_curve.history, strict=True):
        one, two = ({k: v for k, v in record.items() if k != "seconds"} for record in (one, two))
        assert two == pytest.approx(one, rel=1e-3, abs=1e-4)
    return True


def test_two_processes_train_as_one_where_classes_have_weights(fake_sheets, fake_split, training_parameters, tmp_path):
    rare = fake_split.drop(fake_split.index[(fake_split["label"] == 1) & (fake_split["split"] == "train")][3:])
    arguments = (fake_sheets, rare, training_parameters)
    # batches of 5, whose shares are of unequal sizes and classes
    _, curve = trained(*arguments, tmp_path / "one", 1, "inverse_frequency", batch_size=5, noise=0.0)
    _, same_curve = trained(*arguments, tmp_path / "two", 2, "inverse_frequency", batch_size=5, noise=0.0)
    assert equal_curves(curve, same_curve)


def test_two_processes_segment_as_one_by_the_dice_coefficient_of_the_whole_batch(
    fake_sheets, fake_split, training_parameters, tmp_path
):
    masks = (fake_sheets[:, 0] > 150).astype(np.uint8)
    train, validation = Examples.of(fake_split, "train"), Examples.of(fake_split, "validation")
    parameters = training_parameters.model_copy(update={"learning_rate": 0.02, "batch_size": 5, "epochs": 3})

    def segmented(devices):
        torch.manual_seed(0)
        network = nn.Sequential(
            nn.Conv2d(3, 4, 3, padding=1, bias=False), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 2, 1)
        )
        objective = label_every_pixel(masks, [1], "cross_entropy_and_dice", smoothing=1.0)
        folder = tmp_path / str(devices)
        folder.mkdir()
        task = Task(fake_sheets, train, validation, parameters, objective, 0, CPU)
        return fit(network, task, folder, "key", devices)

    assert equal_curves(segmented(1), segmented(2))


def test_statistics_hold_where_the_mean_is_large_beside_the_deviation():
    images = 60 + 1e-3 * torch.randn(6, 4, 9, 9, generator=torch.Generator().manual_seed(0))
    norms = [nn.BatchNorm2d(4, momentum=1.0), GlobalBatchNorm2d(4, momentum=1.0)]
    inputs = [images.clone().requires_grad_() for _ in norms]
    expected, found = (norm(each) for norm, each in zip(norms, inputs, strict=True))
    torch.testing.assert_close(found, expected, rtol=0, atol=2e-3)
    torch.testing.assert_close(norms[1].running_var, norms[0].running_var, rtol=1e-3, atol=0)
    gradients = [
        torch.autograd.grad((out**3).sum(), each)[0] for out, each in zip((expected, found), inputs, strict=True)
    ]
    torch.testing.assert_close(gradients[1], gradients[0], rtol=1e-2, atol=1e-2 * float(gradients[0].abs().max()))


def test_one_value_has_no_deviation():
    with pytest.raises(ValueError, match="Expected more than 1 value per channel"):
        GlobalBatchNorm2d(4)(torch.ones(1, 4, 1, 1))


@pytest.mark.parametrize(("processes", "size"), [(1, 8), (2, 4), (4, 3), (16, 8)])
def test_neither_shares_nor_batches_too_small_to_share_are_cut_up(
    fake_sheets, fake_split, training_parameters, processes, size
):
    examples = Examples.of(fake_split, "train")
    parameters = training_parameters.model_copy(update={"batch_size": 8, "noise": 0.0})
    objective = one_class(examples.labels, 2, "none")
    task = Task(fake_sheets, examples, examples, parameters, objective, 0, CPU, group=Group(0, processes))
    assert task.micro_batch.size == size


def test_two_processes_train_as_one(fake_sheets, fake_split, training_parameters, tmp_path):
    np.save(tmp_path / "sheets.npy", fake_sheets)
    mapped = np.load(tmp_path / "sheets.npy", mmap_mode="r")
    alone, curve = trained(mapped, fake_split, training_parameters, tmp_path / "one", 1)
    together, same_curve = trained(mapped, fake_split, training_parameters, tmp_path / "two", 2)
    assert equal_curves(curve, same_curve)
    assert curve.best_epoch == same_curve.best_epoch
    for name, weight in alone.state_dict().items():
        torch.testing.assert_close(together.state_dict()[name], weight, rtol=1e-2, atol=1e-3, msg=name)
    assert len((tmp_path / "two" / PROGRESS).read_text().splitlines()) == 3
    assert not (tmp_path / "two" / CHECKPOINT).exists()


class Devices(cloudpickle.Pickler):
    """Notes where the tensors are that it pickles."""

    def __init__(self):
        super().__init__(io.BytesIO())
        self.found = set()

    def persistent_id(self, thing):
        if torch.is_tensor(thing):
            self.found.add(thing.device.type)


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_nothing_that_is_sent_to_the_processes_is_on_a_device(
    fake_sheets, fake_split, training_parameters, tmp_path, monkeypatch, activation
):
    """It would come out on the same device in each of them."""
    devices = Devices()

    def send(function, job, *_):
        devices.dump(job)
        raise InterruptedError

    monkeypatch.setattr(training, "select_device", lambda _: torch.device("meta"))
    monkeypatch.setattr(training, "place", lambda network, _: network)
    monkeypatch.setattr(loop, "check_devices", lambda *_: None)
    monkeypatch.setattr(loop, "launch", send)
    with pytest.raises(InterruptedError):
        train_classifier(
            fake_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={"class_weights": "inverse_frequency"}),
            seed=0,
            folder=tmp_path,
            data_source="fake",
            activation=activation,
            devices=2,
        )
    assert devices.found == {"cpu"}


def test_what_a_process_refuses_is_told_as_if_there_were_one(fake_sheets, fake_split, training_parameters, tmp_path):
    with pytest.raises(InputError, match="loss became nan"):
        trained(fake_sheets, fake_split, training_parameters, tmp_path, 2, learning_rate=1e20, gradient_clip=None)


def ends(group, device, job):
    """End in the second process while the first one waits for it."""
    if group.rank == 1:
        if job["by"] is None:
            os.kill(os.getpid(), signal.SIGKILL)
        raise job["by"]
    group.wait()


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (InputError("it does not fit"), "it does not fit"),
        (OSError("the disk\nis gone"), "2 devices: process 1 ended with OSError: the disk is gone; .*same run goes on"),
        (None, r"2 devices: process 1 ended with exit code -9 \(Signal 9.*same run goes on"),
    ],
)
def test_what_ends_one_process_is_told_in_a_line_and_ends_the_others(error, message, caplog):
    with pytest.raises(InputError, match=f"{message}[^\n]*$") as told:
        launch(ends, {"by": error}, 2, "cpu")
    assert "\n" not in str(told.value)
    assert ("Traceback" in caplog.text) is isinstance(error, OSError)
    assert "onnection" not in caplog.text


WAITING = """
import sys, time
from pathlib import Path
from steel_xai.locks import exclusive
from steel_xai.parallel_training import launch

def wait(group, device, job):
    with exclusive(Path(job["folder"], str(group.rank))):
        Path(job["folder"], f"{group.rank}.ready").touch()
        time.sleep(120)

launch(wait, {"folder": sys.argv[1]}, 2, "cpu")
"""


def test_no_process_outlives_a_killed_run(tmp_path):
    """It would train on in a folder that the run holds no longer."""
    with subprocess.Popen([sys.executable, "-c", WAITING, str(tmp_path)]) as run:
        while len(list(tmp_path.glob("*.ready"))) < 2:
            assert run.poll() is None
            time.sleep(0.1)
        run.kill()
    time.sleep(3)
    for rank in range(2):
        with exclusive(tmp_path / str(rank)):
            pass


def test_more_devices_than_there_are_is_refused():
    with pytest.raises(InputError, match=r"compute\.devices: 100000 were asked for"):
        check_devices(100000, CPU)
