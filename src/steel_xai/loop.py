"""The one training loop of the project: epochs, the best of them, checkpoints.

Every random number of an epoch follows from the seed and the epoch's number, so that a run that resumes from a
checkpoint ends with the same weights, bit for bit, as one that was never interrupted.
"""

import logging
import time
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from torch import nn
from tqdm import tqdm

from steel_xai.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from steel_xai.device import place
from steel_xai.epochs import Task, build_optimizer, check_finite, train_epoch, validate_epoch
from steel_xai.errors import DiskError
from steel_xai.parallel_training import Group, check_devices, launch, with_global_norms
from steel_xai.training_log import check_logger, open_log

CHECKPOINT = "checkpoint.safetensors"

Record = dict[str, float]
State = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Progress:
    """What a run has reached: one record a finished epoch, and the network's state after the best of them."""

    history: list[Record] = field(default_factory=list)
    best: State = field(default_factory=dict)


@dataclass(frozen=True)
class Reached:
    """The end of a training: one record an epoch, which of them is kept, and whether Ctrl-C ended it."""

    history: list[Record]
    best_epoch: int
    interrupted: bool

    def describe(self) -> dict[str, Any]:
        """Write it down for a model's description; the seconds are those of all epochs, also before a resumption."""
        return {
            "best_epoch": self.best_epoch,
            "epochs_run": len(self.history),
            "seconds_training": sum(record["seconds"] for record in self.history),
            "interrupted": self.interrupted,
        }


def fit(
    network: nn.Module, task: Task, folder: Path, key: str, devices: int = 1, keep_checkpoint: bool = False
) -> Reached:
    """Train a network in place, and leave it with the weights of the epoch that is best on the validation examples.

    After every epoch a line is appended to ``folder/progress.jsonl`` and ``folder/checkpoint.safetensors`` is
    replaced, from which a run with the same key resumes. The checkpoint goes when the training ends by itself. Ctrl-C
    ends it early with the best epoch so far and leaves the checkpoint.

    Args:
        network: On the task's device.
        task: Data, parameters and objective.
        folder: Exists, and no other run trains in it.
        key: Tells a checkpoint of the same run from any other.
        devices: Processes that share every batch, one a device; batches stay what they are.
        keep_checkpoint: Leave it in the end as well, so that the same run, should it be asked for again, ends at once.

    Raises:
        InputError: The loss overflows, or there are not so many devices.
        KeyboardInterrupt: It is interrupted before the first epoch is complete.
    """
    check_logger(task.parameters.logger)
    for left_over in folder.glob(f"{CHECKPOINT}*.part"):  # by runs that were killed while they saved
        left_over.unlink(missing_ok=True)
    if devices == 1:
        progress, interrupted = _run(network, task, folder, key)
    else:
        check_devices(devices, task.device)
        job = {"network": network.cpu(), "task": replace(task, sheets=np.empty(0)), "sheets": task.sheets}
        job |= {"folder": folder, "key": key}
        progress, interrupted = launch(_run_together, job, devices, task.device.type)
        place(network, task.device)
    network.load_state_dict(progress.best)
    if not interrupted and not keep_checkpoint:
        (folder / CHECKPOINT).unlink(missing_ok=True)
    return Reached(progress.history, best_epoch(progress.history, task.parameters.monitor), interrupted)


def best_epoch(history: list[Record], monitor: str) -> int:
    """Find the best epoch, counted from 1: highest validation accuracy (ties: lowest loss), or lowest loss.

    Of equally good epochs the first counts.
    """

    def quality(record: Record) -> tuple[float, ...]:
        loss = -record["validation_loss"]
        return (record["validation_accuracy"], loss) if monitor == "accuracy" else (loss,)

    return int(max(history, key=quality)["epoch"])


def is_exhausted(history: list[Record], *, monitor: str, patience: int) -> bool:
    """Tell whether ``patience`` epochs have passed since the best one."""
    return bool(history) and len(history) - best_epoch(history, monitor) >= patience


def _run_together(group: Group, device: torch.device, job: dict[str, Any]) -> tuple[_Progress, bool]:
    """Be one of the processes that train a network; the first one logs, saves and tells what was reached."""
    task = replace(job["task"], sheets=job["sheets"], group=group, device=device)
    network = with_global_norms(place(job["network"], device))
    progress, interrupted = _run(network, task, job["folder"], job["key"])
    return _Progress(progress.history, {name: value.cpu() for name, value in progress.best.items()}), interrupted


def _run(network: nn.Module, task: Task, folder: Path, key: str) -> tuple[_Progress, bool]:
    """Train until the epochs or the patience end, or Ctrl-C; tell what was reached and whether it was Ctrl-C."""
    checkpoint = folder / CHECKPOINT
    task.objective.loss.to(task.device)
    optimizer = build_optimizer(network, task.parameters)
    progress = _resume(network, optimizer, checkpoint, key)
    task.group.wait()
    is_first = task.group.rank == 0
    monitor, patience, epochs = task.parameters.monitor, task.parameters.patience, task.parameters.epochs
    done = len(progress.history)
    try:
        with (
            open_log(folder, progress.history, task.parameters.logger) if is_first else nullcontext() as log,
            tqdm(
                total=epochs * task.steps_per_epoch,
                initial=done * task.steps_per_epoch,
                unit="batch",
                disable=not is_first,
            ) as bar,
        ):
            while len(progress.history) < epochs:
                if is_exhausted(progress.history, monitor=monitor, patience=patience):
                    logger.info("No better epoch in the last %d: training ends early.", patience)
                    break
                progress = _next_epoch(network, optimizer, task, progress, bar)
                if is_first:
                    _save(checkpoint, key, network, optimizer, progress)
                if log is not None:
                    log(progress.history[-1])
    except KeyboardInterrupt:
        if not progress.history:
            raise
        logger.warning(
            "Interrupted after epoch %d: the best epoch so far is kept; the same run continues from here.",
            len(progress.history),
        )
        return progress, True
    return progress, False


def _next_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, progress: _Progress, bar: "tqdm[Any]"
) -> _Progress:
    epoch = len(progress.history) + 1
    start = time.perf_counter()
    train_loss, train_accuracy = train_epoch(network, optimizer, task, epoch, bar)
    validation_loss, validation_accuracy = validate_epoch(network, task)
    record = {
        "epoch": epoch,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "validation_loss": validation_loss,
        "validation_accuracy": validation_accuracy,
        "learning_rate": optimizer.param_groups[0]["lr"],
        "seconds": time.perf_counter() - start,
    }
    check_finite(record["validation_loss"], epoch, task)
    history = [*progress.history, record]
    is_best = best_epoch(history, task.parameters.monitor) == epoch
    return _Progress(history, _snapshot(network) if is_best else progress.best)


def _snapshot(network: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in network.state_dict().items()}


def _save(path: Path, key: str, network: nn.Module, optimizer: torch.optim.Optimizer, progress: _Progress) -> None:
    parts = {"network": network.state_dict(), "best": progress.best, "optimizer": optimizer_tensors(optimizer)}
    tensors = {f"{part}/{name}": value for part, state in parts.items() for name, value in state.items()}
    try:
        save_checkpoint(path, key, tensors, {"history": progress.history})
    except (DiskError, SafetensorError) as error:
        # Hours of training are worth more than the right to resume them.
        logger.warning("No checkpoint after epoch %d, a killed run would lose it: %s", len(progress.history), error)


def _resume(network: nn.Module, optimizer: torch.optim.Optimizer, path: Path, key: str) -> _Progress:
    found = load_checkpoint(path, key)
    if found is None:
        return _Progress()
    tensors, record = found
    parts: dict[str, State] = {"network": {}, "best": {}, "optimizer": {}}
    for full_name, value in tensors.items():
        part, name = full_name.split("/", 1)
        parts[part][name] = value
    if _shapes(parts["network"]) != _shapes(network.state_dict()):
        logger.info("The checkpoint %s belongs to a network of other layers: training starts anew.", path)
        return _Progress()
    network.load_state_dict(parts["network"])
    restore_optimizer(optimizer, parts["optimizer"])
    logger.info("Training resumes after epoch %d from %s.", len(record["history"]), path)
    return _Progress(record["history"], parts["best"])


def _shapes(state: State) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in state.items()}
