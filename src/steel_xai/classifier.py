"""A trained classifier: its network and all that has to be known to use it, to trust it and to train it again."""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
import pandas as pd
import torch
from pydantic import Field
from torch import nn

from steel_xai import description as of_any_model
from steel_xai.description import ModelDescription
from steel_xai.errors import InputError
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


class ClassifierDescription(ModelDescription):
    """What a classifier is, beside what any model is.

    ``batch_norm`` tells whether batch normalisation was added to the architecture; with ``patches`` the network reads
    windows of the sheets. ``activation`` makes probabilities of logits: ``softmax`` of classes that exclude each other,
    ``sigmoid`` of classes of which a sheet may have several.
    """

    kind: Literal["classifier"] = "classifier"
    activation: Literal["softmax", "sigmoid"] = "softmax"
    batch_norm: bool
    dropout: Annotated[float, Field(ge=0, lt=1)]
    patches: PatchParameters | None = None


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

    Raises:
        InputError: As ``description.check_lineage`` does; or the split has a class that the model of another source has
            no output for.
    """
    of_any_model.check_lineage(description, sheets, split, data_source)
    n_outputs = len(description.outputs)
    n_needed = count_classes(split["label"], description.activation)
    if n_needed > n_outputs:
        raise InputError(
            f"The model was trained on '{description.data_source}' and has {n_outputs} outputs "
            f"({', '.join(description.outputs)}), but the split of '{data_source}' has {n_needed} classes; train a "
            "model of its own: leave model_source out of conf/local/globals.yml"
        )


def count_classes(labels: pd.Series, activation: Literal["softmax", "sigmoid"]) -> int:
    """Count the outputs that labels need: positions of one output each, or bit fields of several."""
    largest = int(labels.max())
    return largest + 1 if activation == "softmax" else largest.bit_length()
