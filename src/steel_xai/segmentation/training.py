"""Training of a segmentation network on masks."""

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd

from steel_xai.batches import Examples
from steel_xai.description import describe_inputs
from steel_xai.device import keep_freed_memory, place, select_device
from steel_xai.epochs import Task, reproducible
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.locks import exclusive
from steel_xai.loop import fit
from steel_xai.parameters import LoopParameters
from steel_xai.parameters.segmentation import SegmentationNetworkParameters
from steel_xai.segmentation.losses import label_every_pixel
from steel_xai.segmentation.segmenter import Segmenter, SegmenterDescription
from steel_xai.segmentation.start import ENCODERS, start_segmentation_network
from steel_xai.sheets.annotations import NO_DEFECT
from steel_xai.training import check_data, resolve_auto


def train_segmenter(
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    *,
    classes: Mapping[int, str],
    network: SegmentationNetworkParameters,
    parameters: LoopParameters,
    dice_smoothing: float,
    seed: int,
    folder: Path,
    data_source: str,
    devices: int = 1,
    keep_checkpoint: bool = False,
) -> tuple[Segmenter, pd.DataFrame]:
    """Train a network on the masks of the split's training sheets and keep the best epoch on its validation sheets.

    The loop, its checkpoints and its log are those of ``training.train_classifier``. What it calls accuracy is a
    sheet's exact Dice coefficient, averaged over the classes that are there or found.

    Args:
        sheets: uint8 [N, C, h, w] with C 1 or 3; may be memory-mapped.
        masks: uint8 bit field [N, h, w]; bit k-1 = class k.
        split: The columns ``row, image_id, label, split, copy, flip_h, flip_v``; labels are not looked at.
        classes: Number k and name of the classes to find, in the order of the outputs; others are background.
        network: What is trained.
        parameters: Of the training; ``auto`` values follow the weights it starts from.
        dice_smoothing: Of the smooth Dice loss, see ``losses.SoftDice``.
        seed: Fixes the result, bit for bit on one machine with one number of threads.
        folder: Made if absent; holds the checkpoint and the log of epochs.
        data_source: Name of the data, for the description.
        devices: That share every batch; the result differs by rounding only.
        keep_checkpoint: Of a training that has ended, so that the same call ends at once with the same network.

    Returns:
        The segmenter, and the history with one row an epoch: ``epoch, train_loss, train_dice, validation_loss,
        validation_dice, learning_rate, seconds``.

    Raises:
        InputError: There are no masks, the device or required weights are absent, another run trains in the folder, or
            the loss overflows.
        KeyboardInterrupt: It is interrupted before the first epoch is complete.
    """
    check_data(sheets, split)
    _check_masks(masks, sheets, split, classes)
    device = select_device(parameters.device)
    keep_freed_memory(device)
    encoder = ENCODERS[network.architecture][device.type] if network.encoder == "auto" else network.encoder
    outputs = [NO_DEFECT, *classes.values()]
    with reproducible(seed, device):
        start = start_segmentation_network(
            network.architecture, encoder, len(outputs), pretrained=parameters.pretrained
        )
    parameters = resolve_auto(parameters, start.weights)
    about = {
        "architecture": network.architecture,
        "encoder": encoder,
        "loss": network.loss,
        "classes": list(classes),
        "batch_norm": start.batch_norm,
        "masks_fingerprint": fingerprint(masks),
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
    about["parameters"] |= {"dice_smoothing": dice_smoothing}
    objective = label_every_pixel(masks, list(classes), network.loss, dice_smoothing)
    train, validation = Examples.of(split, "train"), Examples.of(split, "validation")
    task = Task(sheets, train, validation, parameters, objective, seed, device)
    with exclusive(folder):
        placed = place(start.network, device)
        reached = fit(placed, task, folder, key=fingerprint(about), devices=devices, keep_checkpoint=keep_checkpoint)
    description = SegmenterDescription.model_validate(about | reached.describe())
    history = pd.DataFrame(reached.history).rename(columns=lambda name: name.replace("accuracy", "dice"))
    return Segmenter(placed.eval(), description), history


def _check_masks(masks: np.ndarray, sheets: np.ndarray, split: pd.DataFrame, classes: Mapping[int, str]) -> None:
    if not len(masks):
        raise InputError(
            "segmentation: labels come without masks, and networks that label pixels need them; give EncodedPixels in "
            "train.csv"
        )
    if masks.shape != (len(sheets), *sheets.shape[2:]):
        raise InputError(f"masks: expected [{len(sheets)}, h, w] of the sheets, found {list(masks.shape)}")
    trained_on = np.unique(split.loc[split["split"] == "train", "row"].to_numpy())
    present = int(np.bitwise_or.reduce([np.bitwise_or.reduce(masks[row], axis=None) for row in trained_on]))
    for number, name in classes.items():
        if not present >> (number - 1) & 1:
            raise InputError(f"split: no training sheet has a mask of '{name}' (class {number}); make the split anew")
