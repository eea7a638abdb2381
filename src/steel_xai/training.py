"""Training of a classifier on a task's split."""

from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np
import pandas as pd

from steel_xai.batches import Examples
from steel_xai.classifier import Classifier, ClassifierDescription, count_classes
from steel_xai.description import describe_inputs
from steel_xai.device import keep_freed_memory, place, select_device
from steel_xai.epochs import Task, reproducible
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.locks import exclusive
from steel_xai.loop import fit
from steel_xai.objectives import every_class, one_class
from steel_xai.parameters import LoopParameters, StainDetectionParameters, TrainingParameters
from steel_xai.patches import SheetFromWindows, cut_windows
from steel_xai.sheets.splits import LabelKind
from steel_xai.stain_augmentation import stains_to_paste
from steel_xai.weights import Origin, start_network

_LEARNING_RATES = {"imagenet": 3e-4, "random": 2e-3}

Loop = TypeVar("Loop", bound=LoopParameters)


def train_classifier(
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    outputs: list[str],
    parameters: TrainingParameters,
    seed: int,
    folder: Path,
    data_source: str,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    masks: np.ndarray | None = None,
    white_stains: StainDetectionParameters | None = None,
    devices: int = 1,
) -> tuple[Classifier, pd.DataFrame]:
    """Train a network on the split's training examples and keep the epoch that is best on the validation examples.

    After every epoch a line is appended to ``folder/progress.jsonl`` and ``folder/checkpoint.safetensors`` is
    replaced; a run with the same data, split, parameters, outputs and seed resumes from it. The checkpoint goes
    when the training ends by itself. Ctrl-C ends it early with the best epoch so far and leaves the checkpoint.

    Args:
        sheets: uint8 [N, C, h, w] with C 1 or 3; may be memory-mapped.
        split: The columns ``row, image_id, label, split, copy, flip_h, flip_v``.
        outputs: Names of the network's outputs. A label is a position in this list, or with ``sigmoid`` a bit field:
            bit k stands for output k.
        parameters: Of the training; ``auto`` values follow the weights it starts from.
        seed: Fixes the result, bit for bit on one machine with one number of threads.
        folder: Made if absent; holds the checkpoint and the log of epochs.
        data_source: Name of the data, for the description.
        activation: ``softmax`` trains for one class a sheet, by cross-entropy; ``sigmoid`` for any number of classes,
            by `torch.nn.MultiLabelSoftMarginLoss`.
        masks: uint8 bit field [N, h, w], which labels the windows; needed with ``parameters.patches`` only.
        white_stains: How stains are found on the training sheets; needed with ``parameters.stain_augmentation`` only.
        devices: That share every batch; the result differs by rounding and dropout only.

    Returns:
        The classifier, and the history with one row an epoch: ``epoch, train_loss, train_accuracy,
        validation_loss, validation_accuracy, learning_rate, seconds``. The training figures are means over the
        epoch's batches as the network saw them (noisy copies, dropout); the learning rate is that of its last step.

    Raises:
        InputError: The data cannot train these outputs, the device or required weights are absent, another run
            trains in the folder, or the loss overflows.
        KeyboardInterrupt: It is interrupted before the first epoch is complete.
    """
    check_data(sheets, split)
    _check_labels(split, outputs, activation)
    device = select_device(parameters.device)
    keep_freed_memory(device)
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
    parameters = resolve_auto(parameters, start.weights).model_copy(update={"batch_norm": start.batch_norm})
    about = {
        "activation": activation,
        "architecture": parameters.architecture,
        "batch_norm": start.batch_norm,
        "dropout": parameters.dropout,
        "patches": None if patches is None else patches.model_dump(mode="json"),
        **describe_inputs(
            sheets,
            split,
            outputs,
            weights=start.weights,
            parameters=parameters,
            seed=seed,
            data_source=data_source,
        ),
    }
    with exclusive(folder):
        pictures, examples = _pictures(sheets, masks, split, outputs, activation, parameters, folder)
        train, validation = Examples.of(examples, "train"), Examples.of(examples, "validation")
        objective = (
            one_class(train.labels, len(outputs), parameters.class_weights)
            if activation == "softmax"
            else every_class(train.labels, len(outputs), parameters.class_weights)
        )
        stains = stains_to_paste(sheets, split, parameters.stain_augmentation, white_stains, pictures.shape[2:])
        task = Task(
            pictures, train, validation, parameters, objective, seed, device, stains, parameters.stain_augmentation
        )
        network = place(start.network, device)
        made_from = [about, examples, white_stains.model_dump() if white_stains and stains else None]
        reached = fit(network, task, folder, key=fingerprint(*made_from), devices=devices)
    if patches is not None:
        network = SheetFromWindows(network, patches)
    description = ClassifierDescription.model_validate(about | reached.describe())
    return Classifier(network.eval(), description), pd.DataFrame(reached.history)


def check_data(sheets: np.ndarray, split: pd.DataFrame) -> None:
    """Raise InputError unless a network can be trained on the split's sheets."""
    if sheets.ndim != 4 or sheets.dtype != np.uint8 or sheets.shape[1] not in (1, 3):
        raise InputError(f"sheets: expected uint8 [N, 1 or 3, h, w], found {sheets.dtype} {list(sheets.shape)}")
    for name in ("train", "validation"):
        if not (split["split"] == name).any():
            raise InputError(f"split: there are no {name} sheets; more sheets or other split fractions are needed")
    if split["row"].max() >= len(sheets):
        raise InputError(f"split: row {split['row'].max()} is past the {len(sheets)} sheets; make the split anew")


def resolve_auto(parameters: Loop, weights: Origin) -> Loop:
    """Replace every ``auto`` of the loop by what it stands for with these weights to start from."""
    learning_rate, flips = parameters.learning_rate, parameters.random_flips
    update: dict[str, Any] = {
        "learning_rate": _LEARNING_RATES[weights] if learning_rate == "auto" else learning_rate,
        "random_flips": weights == "random" if flips == "auto" else flips,
    }
    return parameters.model_copy(update=update)


def _check_labels(split: pd.DataFrame, outputs: list[str], activation: Literal["softmax", "sigmoid"]) -> None:
    labels = split["label"]
    if labels.min() < 0 or count_classes(labels, activation) > len(outputs):
        raise InputError(f"split: the labels are {sorted(labels.unique())}, the outputs only {outputs}")


def _pictures(
    sheets: np.ndarray,
    masks: np.ndarray | None,
    split: pd.DataFrame,
    outputs: list[str],
    activation: Literal["softmax", "sigmoid"],
    parameters: TrainingParameters,
    folder: Path,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Choose what the network is trained on: the sheets and their split, or their windows and those windows' split."""
    if parameters.patches is None:
        return sheets, split
    if activation == "sigmoid":
        raise InputError("training.patches: windows have one label each, so they train no multi-label task; set null")
    if masks is None:
        raise InputError("training.patches: windows are labelled by masks, and none were given")
    # With two outputs "any defect" and "the one class" are the same label.
    labels: LabelKind = "any_defect" if len(outputs) == 2 else "single_class"
    return cut_windows(sheets, masks, split, parameters.patches, labels=labels, folder=folder)
