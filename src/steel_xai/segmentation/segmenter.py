"""A trained segmentation network, all that has to be known to use it, and what it says of sheets."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, Self

import numpy as np
import pandas as pd
import torch
from pydantic import model_validator
from torch import nn
from tqdm import tqdm

from steel_xai import description as of_any_model
from steel_xai.batches import Examples, load_batch
from steel_xai.description import ModelDescription
from steel_xai.device import autocast, place, select_device
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.memory import BatchSize, in_batches
from steel_xai.parameters.segmentation import check_encoder
from steel_xai.segmentation.networks import build_segmentation_network

Device = Literal["auto", "cpu", "cuda"]

_TIMED_SHEETS = 5


class SegmenterDescription(ModelDescription):
    """What a segmenter is, beside what any model is.

    ``outputs`` are the background and classes that exclude each other in a pixel; ``classes`` are the numbers of the
    latter: class k is bit k-1 of the masks. ``batch_norm`` tells whether batch normalisation was added to the encoder.
    ``masks_fingerprint`` is the content hash of the masks that trained it.
    """

    kind: Literal["segmenter"] = "segmenter"
    architecture: Literal["fcn32", "unet"]
    encoder: str
    loss: Literal["cross_entropy", "soft_dice", "cross_entropy_and_dice"]
    classes: list[int]
    batch_norm: bool
    masks_fingerprint: str

    @model_validator(mode="after")
    def _encoder_is_known(self) -> Self:
        check_encoder(self.architecture, self.encoder)
        return self


@dataclass(frozen=True)
class Segmenter:
    """A network in evaluation mode and its description."""

    network: nn.Module
    description: SegmenterDescription


def restore_segmenter(description: SegmenterDescription, state: dict[str, torch.Tensor]) -> Segmenter:
    """Build the described network and load its weights.

    Raises:
        RuntimeError: The weights do not fit the description.
        InputError: The network cannot be built as described.
    """
    network = build_segmentation_network(
        description.architecture,
        description.encoder,
        len(description.outputs),
        batch_norm=description.batch_norm,
    )
    network.load_state_dict(state)
    return Segmenter(network.eval(), description)


def check_lineage(
    description: SegmenterDescription, sheets: np.ndarray, masks: np.ndarray, split: pd.DataFrame, data_source: str
) -> None:
    """Refuse to combine a segmenter with other sheets, masks or another split than those that trained it.

    Raises:
        InputError: As ``description.check_lineage`` does; or the masks differ.
    """
    of_any_model.check_lineage(description, sheets, split, data_source)
    if description.data_source == data_source and description.masks_fingerprint != fingerprint(masks):
        raise InputError(
            "The segmentation network was trained on other masks than those given, so its scores here would mean "
            "nothing. Train it anew, or choose the versions that belong together with --load-versions"
        )


def predict(
    segmenter: Segmenter, sheets: np.ndarray, rows: np.ndarray, *, batch_size: int, device: Device
) -> Iterator[np.ndarray]:
    """Predict sheets as they are, a batch at a time.

    Args:
        segmenter: The model.
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        rows: Of the sheets to predict, int [n].
        batch_size: Sheets that are in memory at once.
        device: Where the network runs.

    Yields:
        Probabilities of the M outputs, float32 [b, M, h, w], of ``batch_size`` sheets, fewer in the last batch and
        where the device's memory gives out, in the order of the rows. They add up to 1 in every pixel.

    Raises:
        InputError: Not even one sheet fits into the device's memory.
    """
    target = select_device(device)
    network = place(segmenter.network, target).eval()

    def of_rows(part: slice) -> np.ndarray:
        chosen = np.asarray(rows[part])
        unflipped = np.zeros(len(chosen), dtype=bool)
        images = load_batch(sheets, Examples(chosen, np.zeros(len(chosen), np.int64), unflipped, unflipped), target)
        with torch.inference_mode(), autocast(target):
            logits = network(images).float()
        found: np.ndarray = torch.softmax(logits, dim=1).cpu().numpy()
        return found

    for _, found in in_batches(of_rows, len(rows), BatchSize(batch_size, "batch_size")):
        yield found


def predict_labels(
    segmenter: Segmenter, sheets: np.ndarray, rows: np.ndarray, *, batch_size: int, device: Device
) -> np.ndarray:
    """Predict the most probable output of every pixel, uint8 [n, h, w]; otherwise as `predict`."""
    labels = np.empty((len(rows), *sheets.shape[2:]), np.uint8)
    done = 0
    with tqdm(total=len(rows), desc="masks", unit="sheet") as bar:
        for probabilities in predict(segmenter, sheets, rows, batch_size=batch_size, device=device):
            labels[done : done + len(probabilities)] = probabilities.argmax(axis=1)
            done += len(probabilities)
            bar.update(len(probabilities))
    return labels


def milliseconds_per_sheet(segmenter: Segmenter, sheets: np.ndarray, *, repeats: int, device: Device) -> float:
    """Time the prediction of a sheet in a batch of 5: the median of ``repeats`` runs, after one that is not counted."""
    rows = np.resize(np.arange(len(sheets)), _TIMED_SHEETS)
    seconds = []
    for _ in range(1 + repeats):
        start = time.perf_counter()
        list(predict(segmenter, sheets, rows, batch_size=_TIMED_SHEETS, device=device))
        seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[1:]) * 1000 / _TIMED_SHEETS)
