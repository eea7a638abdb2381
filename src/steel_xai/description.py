"""What any trained model of the project says of itself: where it comes from, and which data it belongs to."""

import logging
from importlib.metadata import version
from typing import Annotated, Any, Literal

import numpy as np
import pandas as pd
from pydantic import BaseModel, ConfigDict, Field

from steel_xai.batches import IMAGENET_MEAN, IMAGENET_STD
from steel_xai.errors import InputError
from steel_xai.fingerprint import fingerprint
from steel_xai.parameters import LoopParameters

logger = logging.getLogger(__name__)

_Side = Annotated[int, Field(gt=0, le=16384)]
_Finite = Annotated[float, Field(allow_inf_nan=False)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]


class ModelDescription(BaseModel):
    """What a model is and where it comes from; written as JSON beside the weights.

    ``outputs`` names the logits in order. ``mean`` and ``std`` normalise pixel values in 0..1, channel by channel.
    ``weights`` is what the training started from. ``sheets_fingerprint`` and ``split_fingerprint`` are content hashes
    of the data that trained it, ``n_train`` its number of training examples, copies included. ``parameters`` are those
    of the training, with each ``auto`` replaced by what it stood for. ``versions`` are those of the libraries.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    architecture: str
    outputs: Annotated[list[str], Field(min_length=1)]
    tensor_size: tuple[_Side, _Side]
    n_channels: Literal[1, 3]
    mean: tuple[_Finite, _Finite, _Finite]
    std: tuple[_Positive, _Positive, _Positive]
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


def describe_inputs(
    sheets: np.ndarray,
    split: pd.DataFrame,
    outputs: list[str],
    *,
    weights: Literal["imagenet", "random"],
    parameters: LoopParameters,
    seed: int,
    data_source: str,
) -> dict[str, Any]:
    """Write down what a training starts from: the fields of a description that are known before it."""
    return {
        "outputs": outputs,
        "tensor_size": [sheets.shape[2], sheets.shape[3]],
        "n_channels": sheets.shape[1],
        "mean": list(IMAGENET_MEAN),
        "std": list(IMAGENET_STD),
        "weights": weights,
        "seed": seed,
        "data_source": data_source,
        "sheets_fingerprint": fingerprint(sheets),
        "split_fingerprint": fingerprint(split),
        "n_train": int((split["split"] == "train").sum()),
        "versions": library_versions(),
        "parameters": parameters.model_dump(mode="json", exclude={"logger"}),
    }


def name_data(data_source: str, trained_on: str) -> str:
    """Name the data that figures are of, and the source of the model's own where that is another."""
    return data_source if data_source == trained_on else f"{data_source}, model trained on {trained_on}"


def check_lineage(description: ModelDescription, sheets: np.ndarray, split: pd.DataFrame, data_source: str) -> None:
    """Refuse to combine a model with other sheets or another split than those that trained it.

    With a model of another data source, which ``model_source`` asks for by name, all sheets are new to it.

    Raises:
        InputError: The content of either differs, whatever its version.
    """
    if description.data_source != data_source:
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
