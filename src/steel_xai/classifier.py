"""A trained classifier: its network and all that has to be known to use it, to trust it and to train it again."""

import logging
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import BaseModel, ConfigDict
from torch import nn

from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows

logger = logging.getLogger(__name__)


class ClassifierDescription(BaseModel):
    """What a classifier is and where it comes from; written as JSON beside the weights.

    ``outputs`` names the logits in order. ``mean`` and ``std`` normalise pixel values in 0..1, channel by channel.
    ``batch_norm`` tells whether batch normalisation was added to the architecture; with ``patches`` the network reads
    windows of the sheets. ``weights`` is what the training started from. ``sheets_fingerprint`` and
    ``split_fingerprint`` are content hashes of the data that trained it, ``n_train`` its number of training examples,
    copies included. ``parameters`` are those of the training, with each ``auto`` replaced by what it stood for.
    ``versions`` are those of the libraries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    batch_norm: bool
    dropout: float
    outputs: list[str]
    tensor_size: tuple[int, int]
    n_channels: int
    patches: PatchParameters | None = None
    mean: tuple[float, float, float]
    std: tuple[float, float, float]
    weights: Literal["imagenet", "random"]
    seed: int
    data_source: str
    sheets_fingerprint: str
    split_fingerprint: str
    n_train: int
    best_epoch: int
    epochs_run: int
    seconds_training: float
    interrupted: bool
    versions: dict[str, str]
    parameters: dict[str, Any]

    def name_data(self, data_source: str) -> str:
        """Name the data that figures are of, and the source of the model's own where that is another."""
        return name_data(data_source, self.data_source)


def name_data(data_source: str, trained_on: str) -> str:
    """Name the data that figures are of, and the source of the model's own where that is another."""
    return data_source if data_source == trained_on else f"{data_source}, model trained on {trained_on}"


@dataclass(frozen=True)
class Classifier:
    """A network in evaluation mode and its description."""

    network: nn.Module
    description: ClassifierDescription


def restore_classifier(description: ClassifierDescription, state: dict[str, torch.Tensor]) -> Classifier:
    """Build the described network and load its weights.

    Raises:
        RuntimeError: The weights do not fit the description.
        InputError: The network cannot be built as described.
    """
    patches = description.patches
    network = build_network(
        description.architecture,
        len(description.outputs),
        batch_norm=description.batch_norm,
        dropout=description.dropout,
        image_size=patches.size if patches else description.tensor_size,
    )
    if patches:
        network = SheetFromWindows(network, patches)
    network.load_state_dict(state)
    return Classifier(network.eval(), description)


def check_lineage(
    description: ClassifierDescription, sheets: np.ndarray, split: pd.DataFrame, data_source: str
) -> None:
    """Refuse to combine a classifier with other sheets or another split than those that trained it.

    With a model of another data source, which ``model_source`` asks for by name, all sheets are new to it.

    Raises:
        InputError: The content of either differs, whatever its version; or the split has a class that the model of
            another source has no output for.
    """
    if description.data_source != data_source:
        n_outputs, n_needed = len(description.outputs), int(split["label"].max()) + 1
        if n_needed > n_outputs:
            raise InputError(
                f"The model was trained on '{description.data_source}' and has {n_outputs} outputs "
                f"({', '.join(description.outputs)}), but the split of '{data_source}' has {n_needed} classes; train a "
                "model of its own: leave model_source out of conf/local/globals.yml"
            )
        logger.info("Trained on '%s': all sheets of '%s' are new to the model.", description.data_source, data_source)
        return
    trained_on = {"sheets": description.sheets_fingerprint, "split": description.split_fingerprint}
    given = {"sheets": fingerprint(sheets), "split": fingerprint(split)}
    other = [name for name in trained_on if trained_on[name] != given[name]]
    if other:
        raise InputError(
            f"The model was trained on other data (its {' and '.join(other)} differ from those given), so its scores "
            "here would mean nothing. Train it anew, or choose the versions that belong together with --load-versions"
        )


def library_versions() -> dict[str, str]:
    """Look up the versions of the libraries on which trained weights depend."""
    return {name: version(name) for name in ("torch", "torchvision", "numpy")}
