"""The one training loop of the project.

Every random number of an epoch follows from the seed and the epoch's number, so that a run that resumes from a
checkpoint ends with the same weights, bit for bit, as one that was never interrupted.
"""

import json
import logging
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from safetensors import SafetensorError
from torch import nn
from tqdm import tqdm

from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD, Examples
from steel_xai.checkpoint import load_checkpoint, optimizer_tensors, restore_optimizer, save_checkpoint
from steel_xai.classifier import Classifier, ClassifierDescription, library_versions
from steel_xai.device import keep_freed_memory, place, select_device
from steel_xai.epochs import Task, build_loss, build_optimizer, check_finite, reproducible, train_epoch
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.inference import evaluate_logits
from steel_xai.locks import exclusive
from steel_xai.parameters import StainDetectionParameters, TrainingParameters
from steel_xai.patches import SheetFromWindows, cut_windows
from steel_xai.sheets.splits import LabelKind
from steel_xai.stain_augmentation import stains_to_paste
from steel_xai.weights import Start, start_network

CHECKPOINT = "checkpoint.safetensors"
PROGRESS = "progress.jsonl"

_LEARNING_RATES = {"imagenet": 3e-4, "random": 2e-3}

Record = dict[str, float]
State = dict[str, torch.Tensor]

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class _Progress:
    """What a run has reached: one record a finished epoch, and the network's state after the best of them."""

    history: list[Record] = field(default_factory=list)
    best: State = field(default_factory=dict)


def train_classifier(
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    outputs: list[str],
    parameters: TrainingParameters,
    seed: int,
    folder: Path,
    data_source: str,
    masks: np.ndarray | None = None,
    white_stains: StainDetectionParameters | None = None,
) -> tuple[Classifier, pd.DataFrame]:
    """Train a network on the split's training examples and keep the epoch that is best on the validation examples.

    After every epoch a line is appended to ``folder/progress.jsonl`` and ``folder/checkpoint.safetensors`` is
    replaced; a run with the same data, split, parameters, outputs and seed resumes from it. The checkpoint goes
    when the training ends by itself. Ctrl-C ends it early with the best epoch so far and leaves the checkpoint.

    Args:
        sheets: uint8 [N, C, h, w] with C 1 or 3; may be memory-mapped.
        split: The columns ``row, image_id, label, split, copy, flip_h, flip_v``.
        outputs: Names of the network's outputs; a label is a position in this list.
        parameters: Of the training; ``auto`` values follow the weights it starts from.
        seed: Fixes the result, bit for bit on one machine with one number of threads.
        folder: Made if absent; holds the checkpoint and the log of epochs.
        data_source: Name of the data, for the description.
        masks: uint8 bit field [N, h, w], which labels the windows; needed with ``parameters.patches`` only.
        white_stains: How stains are found on the training sheets; needed with ``parameters.stain_augmentation`` only.

    Returns:
        The classifier, and the history with one row an epoch: ``epoch, train_loss, train_accuracy,
        validation_loss, validation_accuracy, learning_rate, seconds``. The training figures are means over the
        epoch's batches as the network saw them (noisy copies, dropout); the learning rate is that of its last step.

    Raises:
        InputError: The data cannot train these outputs, the device or required weights are absent, another run
            trains in the folder, or the loss overflows.
        KeyboardInterrupt: It is interrupted before the first epoch is complete.
    """
    _check(sheets, split, outputs)
    device = select_device(parameters.device)
    if device.type == "cpu":
        keep_freed_memory()
    patches = parameters.patches
    tensor_size = (sheets.shape[2], sheets.shape[3])
    with reproducible(seed, device):
        start = start_network(
            parameters.architecture,
            len(outputs),
            pretrained=parameters.pretrained,
            batch_norm=parameters.batch_norm,
            dropout=parameters.dropout,
            image_size=tensor_size if patches is None else patches.size,
            frozen_features=parameters.frozen_features,
        )
    parameters = _resolve(parameters, start)
    description = {
        "architecture": parameters.architecture,
        "batch_norm": start.batch_norm,
        "dropout": parameters.dropout,
        "outputs": outputs,
        "tensor_size": list(tensor_size),
        "n_channels": sheets.shape[1],
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "weights": start.weights,
        "patches": None if patches is None else patches.model_dump(mode="json"),
        "seed": seed,
        "data_source": data_source,
        "sheets_fingerprint": fingerprint(sheets),
        "split_fingerprint": fingerprint(split),
        "n_train": int((split["split"] == "train").sum()),
        "versions": library_versions(),
        "parameters": parameters.model_dump(mode="json"),
    }
    with exclusive(folder):
        pictures, examples = _pictures(sheets, masks, split, outputs, parameters, folder)
        train, validation = Examples.of(examples, "train"), Examples.of(examples, "validation")
        loss = build_loss(train.labels, len(outputs), parameters, device)
        stains = stains_to_paste(sheets, split, parameters.stain_augmentation, white_stains, pictures.shape[2:])
        task = Task(pictures, train, validation, parameters, loss, seed, device, stains)
        network = place(start.network, device)
        made_from = [description, examples, white_stains.model_dump() if white_stains and stains else None]
        progress, interrupted = _run(network, task, folder, key=fingerprint(*made_from))
    network.load_state_dict(progress.best)
    if patches is not None:
        network = SheetFromWindows(network, patches)
    reached = {
        "best_epoch": best_epoch(progress.history, parameters.monitor),
        "epochs_run": len(progress.history),
        "seconds_training": sum(record["seconds"] for record in progress.history),
        "interrupted": interrupted,
    }
    classifier = Classifier(network.eval(), ClassifierDescription.model_validate(description | reached))
    return classifier, pd.DataFrame(progress.history)


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


def _check(sheets: np.ndarray, split: pd.DataFrame, outputs: list[str]) -> None:
    if sheets.ndim != 4 or sheets.dtype != np.uint8 or sheets.shape[1] not in (1, 3):
        raise InputError(f"sheets: expected uint8 [N, 1 or 3, h, w], found {sheets.dtype} {list(sheets.shape)}")
    for name in ("train", "validation"):
        if not (split["split"] == name).any():
            raise InputError(f"split: there are no {name} sheets; more sheets or other split fractions are needed")
    if split["label"].min() < 0 or split["label"].max() >= len(outputs):
        raise InputError(f"split: the labels are {sorted(split['label'].unique())}, the outputs only {outputs}")
    if split["row"].max() >= len(sheets):
        raise InputError(f"split: row {split['row'].max()} is past the {len(sheets)} sheets; make the split anew")


def _pictures(
    sheets: np.ndarray,
    masks: np.ndarray | None,
    split: pd.DataFrame,
    outputs: list[str],
    parameters: TrainingParameters,
    folder: Path,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Choose what the network is trained on: the sheets and their split, or their windows and those windows' split."""
    if parameters.patches is None:
        return sheets, split
    if masks is None:
        raise InputError("training.patches: windows are labelled by masks, and none were given")
    # With two outputs "any defect" and "the one class" are the same label.
    labels: LabelKind = "any_defect" if len(outputs) == 2 else "single_class"
    return cut_windows(sheets, masks, split, parameters.patches, labels=labels, folder=folder)


def _resolve(parameters: TrainingParameters, start: Start) -> TrainingParameters:
    """Replace every ``auto`` by what it stands for with these weights."""
    learning_rate, flips = parameters.learning_rate, parameters.random_flips
    update: dict[str, Any] = {
        "batch_norm": start.batch_norm,
        "learning_rate": _LEARNING_RATES[start.weights] if learning_rate == "auto" else learning_rate,
        "random_flips": start.weights == "random" if flips == "auto" else flips,
    }
    return parameters.model_copy(update=update)


def _run(network: nn.Module, task: Task, folder: Path, key: str) -> tuple[_Progress, bool]:
    """Train until the epochs or the patience end, or Ctrl-C; tell what was reached and whether it was Ctrl-C."""
    checkpoint = folder / CHECKPOINT
    optimizer = build_optimizer(network, task.parameters)
    progress = _resume(network, optimizer, checkpoint, key)
    monitor, patience, epochs = task.parameters.monitor, task.parameters.patience, task.parameters.epochs
    done = len(progress.history)
    try:
        with (
            (folder / PROGRESS).open("w", encoding="utf-8") as log,
            tqdm(total=epochs * task.steps_per_epoch, initial=done * task.steps_per_epoch, unit="batch") as bar,
        ):
            log.writelines(json.dumps(record) + "\n" for record in progress.history)
            log.flush()
            while len(progress.history) < epochs:
                if is_exhausted(progress.history, monitor=monitor, patience=patience):
                    logger.info("No better epoch in the last %d: training ends early.", patience)
                    break
                progress = _next_epoch(network, optimizer, task, progress, bar)
                _save(checkpoint, key, network, optimizer, progress)
                log.write(json.dumps(progress.history[-1]) + "\n")
                log.flush()
    except KeyboardInterrupt:
        if not progress.history:
            raise
        logger.warning(
            "Interrupted after epoch %d: the best epoch so far is kept; the same run continues from here.",
            len(progress.history),
        )
        return progress, True
    checkpoint.unlink(missing_ok=True)
    return progress, False


def _next_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, progress: _Progress, bar: "tqdm[Any]"
) -> _Progress:
    epoch = len(progress.history) + 1
    start = time.perf_counter()
    train_loss, train_accuracy = train_epoch(network, optimizer, task, epoch, bar)
    logits = evaluate_logits(
        network, task.sheets, task.validation, batch_size=task.parameters.batch_size, device=task.device
    )
    labels = torch.from_numpy(task.validation.labels).to(task.device)
    record = {
        "epoch": epoch,
        "train_loss": train_loss,
        "train_accuracy": train_accuracy,
        "validation_loss": float(task.loss(logits, labels)),
        "validation_accuracy": float((logits.argmax(dim=1) == labels).float().mean()),
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
    except (OSError, SafetensorError) as error:
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
    network.load_state_dict(parts["network"])
    restore_optimizer(optimizer, parts["optimizer"])
    logger.info("Training resumes after epoch %d from %s.", len(record["history"]), path)
    return _Progress(record["history"], parts["best"])
