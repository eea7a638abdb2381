"""The training sheets that a sheet resembles most, in the network's last layer of features."""

from collections.abc import Iterable
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
from steel_xai.one_step import replacing
from steel_xai.patches import SheetFromWindows

N_NEAREST = 3
_BATCH = 32
_YARDSTICK = (0.5, 0.99)


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
    folder: Path,
) -> Reference:
    """Compute the features of training sheets, or read those that an earlier run left in the folder.

    Args:
        classifier: The model.
        network: Of the model, on the device.
        sheets: uint8 [N, C, h, w].
        split: ``row, image_id, label, split, copy, flip_h, flip_v``.
        device: Where the network runs.
        folder: Keeps the features.

    Raises:
        InputError: The network reads windows of the sheets.
    """
    own = split[split["copy"] == 0]
    table = own.loc[own["split"] == "train", ["row", "image_id", "label"]].reset_index(drop=True)
    key = fingerprint(classifier.description.model_dump(mode="json"), own)
    path = folder / f"features-{key}.npy"
    module = last_feature_layer(network)
    if path.exists():
        features = np.load(path, allow_pickle=False)
    else:
        examples = (Examples.of(own, name) for name in ("train", "validation"))
        features = np.concatenate([_features_of(network, module, sheets, part, device) for part in examples])
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
    network: nn.Module, module: str, sheets: np.ndarray, examples: Examples, device: torch.device
) -> np.ndarray:
    keep_freed_memory(device)
    parts = []
    for part in _batches(examples):
        parts.append(logits_and_features(network, module, load_batch(sheets, part, device))[1])
    return np.concatenate(parts)


def _batches(examples: Examples) -> Iterable[Examples]:
    with tqdm(total=len(examples), desc="sheets to compare with", unit="sheet") as bar:
        for start in range(0, len(examples), _BATCH):
            part = examples.take(np.arange(start, min(start + _BATCH, len(examples))))
            yield part
            bar.update(len(part))


def _nearest(reference: np.ndarray, features: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Find the nearest by cosine distance, 0..2: positions and distances, [n, N_NEAREST] or as many as there are."""
    distances = np.maximum(1 - features @ reference.T, 0)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :N_NEAREST]
    return nearest, np.take_along_axis(distances, nearest, axis=1)


def _keep(path: Path, features: np.ndarray) -> None:
    """Write the features in one step, in the place of other models'."""
    for other in path.parent.glob("features-*.npy"):
        other.unlink()
    with replacing(path) as part, part.open("wb") as file:
        np.save(file, features, allow_pickle=False)
