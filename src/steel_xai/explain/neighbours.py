"""The training sheets that a sheet resembles most, in the network's last layer of features."""

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, keep_freed_memory
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.inspection.modules import area_of, list_modules, recorded
from steel_xai.memory import BatchSize, in_batches
from steel_xai.one_step import replacing
from steel_xai.patches import SheetFromWindows
from steel_xai.plain_file import one_line

N_NEAREST = 3
_YARDSTICK = (0.5, 0.99)
_COMPARED = ("train", "validation")

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Reference:
    """Training sheets to compare with.

    Attributes:
        sheets: ``row, image_id, label`` [N].
        features: float32 [N, D] of length 1.
        yardstick: Median and 99th percentile of the distances from validation sheets to their nearest training sheet.
        key: Hash of what it was made from.
    """

    sheets: pd.DataFrame
    features: np.ndarray
    yardstick: tuple[float, float]
    key: str

    def nearest(self, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Find the nearest of features [n, D]: positions among the sheets and distances, [n, N_NEAREST], near first."""
        return _nearest(self.features, features)


def training_reference(
    classifier: Classifier,
    network: nn.Module,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    device: torch.device,
    batch: BatchSize,
    folder: Path,
) -> Reference:
    """Compute the features of training sheets, or read those that an earlier run left in the folder.

    Args:
        classifier: The model.
        network: Of the model, on the device.
        sheets: uint8 [N, C, h, w].
        split: ``row, image_id, label, split, copy, flip_h, flip_v``.
        device: Where the network runs.
        batch: How many sheets at a time.
        folder: Keeps the features.

    Raises:
        InputError: The network reads windows of the sheets, or not even one sheet fits into the device's memory.
    """
    own = split[split["copy"] == 0]
    table = own.loc[own["split"] == "train", ["row", "image_id", "label"]].reset_index(drop=True)
    key = fingerprint(classifier.description.model_dump(mode="json"), own)
    path = folder / f"features-{key}.npy"
    module = last_feature_layer(network)
    features = _read(path, int(own["split"].isin(_COMPARED).sum()))
    if features is None:
        examples = (Examples.of(own, name) for name in _COMPARED)
        features = np.concatenate([_features_of(network, module, sheets, part, device, batch) for part in examples])
        _keep(path, features)
    train, validation = features[: len(table)], features[len(table) :]
    median, far = np.quantile(_nearest(train, validation)[1][:, 0], _YARDSTICK)
    return Reference(table, train, (float(median), float(far)), key)


def last_feature_layer(network: nn.Module) -> str:
    """Name the module whose output the head makes logits of.

    Raises:
        InputError: The network reads windows of the sheets.
    """
    if isinstance(network, SheetFromWindows):
        raise InputError(
            "explain: the model was trained with training.patches and sees windows, not sheets; train one with "
            "training.patches: null"
        )
    return [module for module in list_modules(network) if area_of(network, module) == "features"][-1]


def logits_and_features(network: nn.Module, module: str, images: torch.Tensor) -> tuple[torch.Tensor, np.ndarray]:
    """Compute logits float32 [B, K] and a layer's output, averaged over space and brought to length 1, [B, D]."""
    with recorded(network, [module], _pooled) as outputs, torch.inference_mode(), autocast(images.device):
        logits = network(images).float()
        features = nn.functional.normalize(outputs[module].float(), dim=1)
    return logits, features.cpu().numpy()


def _pooled(output: torch.Tensor) -> torch.Tensor:
    """Average maps [B, C, h, w] and tokens [B, T, C] over space; leave vectors."""
    return output.mean(dim=(2, 3)) if output.ndim == 4 else output.mean(dim=1) if output.ndim == 3 else output


def _features_of(
    network: nn.Module, module: str, sheets: np.ndarray, examples: Examples, device: torch.device, batch: BatchSize
) -> np.ndarray:
    keep_freed_memory(device)

    def of_sheets(part: slice) -> np.ndarray:
        images = load_batch(sheets, examples.take(np.arange(part.start, part.stop)), device)
        return logits_and_features(network, module, images)[1]

    parts = []
    with tqdm(total=len(examples), desc="sheets to compare with", unit="sheet") as bar:
        for part, found in in_batches(of_sheets, len(examples), batch):
            parts.append(found)
            bar.update(part.stop - part.start)
    return np.concatenate(parts)


def _nearest(reference: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest by cosine distance, 0..2: positions and distances, [n, N_NEAREST] or as many as there are."""
    distances = np.maximum(1 - features @ reference.T, 0)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :N_NEAREST]
    return nearest, np.take_along_axis(distances, nearest, axis=1)


def _read(path: Path, n_sheets: int) -> np.ndarray | None:
    """Read the features that an earlier run left; None where there are none, or, with a warning, damaged ones."""
    if not path.exists():
        return None
    try:
        features: np.ndarray = np.load(path, allow_pickle=False)
        if features.ndim != 2 or len(features) != n_sheets:
            raise ValueError(f"not the features of {n_sheets} sheets")
    except Exception as error:  # a damaged header makes NumPy raise many types
        logger.warning("The features %s are damaged (%s): they are computed anew.", path, one_line(error))
        return None
    return features


def _keep(path: Path, features: np.ndarray) -> None:
    """Write the features in one step, in the place of other models'."""
    for other in path.parent.glob("features-*.npy"):
        other.unlink()
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, features, allow_pickle=False)
