"""The models of the cascade's steps, and what each says of sheets."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch

from steel_xai import description as lineage
from steel_xai.batches import Examples
from steel_xai.classifier import Classifier
from steel_xai.errors import InputError
from steel_xai.inference import map_logits
from steel_xai.segmentation import segmenter as segmentation
from steel_xai.segmentation.segmenter import Device, Segmenter
from steel_xai.sheets.annotations import NO_DEFECT


@dataclass(frozen=True)
class Steps:
    """The models: whether there is a defect, of which classes, and one network of masks for each class by its number.

    Any model whose outputs are named so fits: a gate has the output ``no defect``, ``labels`` one of each class's name,
    and the network of class k lists k among its ``classes``.
    """

    gate: Classifier
    labels: Classifier
    unets: Mapping[int, Segmenter]
    class_names: Sequence[str]

    def __post_init__(self) -> None:
        """Raise InputError if a model lacks an output that its step needs."""
        _positions(self.gate, [NO_DEFECT], "binary.model")
        _positions(self.labels, self.class_names, "multilabel.model")
        for number, name in enumerate(self.class_names, start=1):
            if number not in self.unets:
                raise InputError(
                    f"cascade.unets has no network of '{name}' (class {number}); train them with "
                    "`kedro run --pipeline=cascade`"
                )
            found = self.unets[number].description.classes
            if number not in found:
                raise InputError(
                    f"cascade.unets: the network of class {number} finds classes {found}; put one in its place that "
                    "finds it"
                )


def check_lineage(
    steps: Steps,
    sheets: np.ndarray,
    masks: np.ndarray,
    gate_split: pd.DataFrame,
    split: pd.DataFrame,
    data_source: str,
) -> None:
    """Refuse models that other sheets, masks or splits trained: their test sheets may be training sheets of a step.

    Raises:
        InputError: As ``description.check_lineage`` and ``segmenter.check_lineage`` do.
    """
    lineage.check_lineage(steps.gate.description, sheets, gate_split, data_source)
    lineage.check_lineage(steps.labels.description, sheets, split, data_source)
    for unet in steps.unets.values():
        segmentation.check_lineage(unet.description, sheets, masks, split, data_source)


def defect_probability(
    gate: Classifier, sheets: np.ndarray, rows: np.ndarray, *, batch_size: int, device: Device
) -> np.ndarray:
    """Compute the probability of any defect, float32 [n]."""
    found = _probabilities(gate, sheets, rows, batch_size, device)
    return np.asarray(1 - found[:, _positions(gate, [NO_DEFECT], "binary.model")[0]])


def class_probabilities(
    labels: Classifier,
    sheets: np.ndarray,
    rows: np.ndarray,
    class_names: Sequence[str],
    *,
    batch_size: int,
    device: Device,
) -> np.ndarray:
    """Compute the probability of each class, float32 [n, K]."""
    found = _probabilities(labels, sheets, rows, batch_size, device)
    return found[:, _positions(labels, class_names, "multilabel.model")]


def mask_probabilities(
    unet: Segmenter, number: int, sheets: np.ndarray, rows: np.ndarray, *, batch_size: int, device: Device
) -> Iterator[np.ndarray]:
    """Compute the probability of class ``number`` in every pixel.

    Yields:
        float32 [b, h, w], a batch at a time in the order of the rows.
    """
    output = 1 + unet.description.classes.index(number)
    for found in segmentation.predict(unet, sheets, rows, batch_size=batch_size, device=device):
        yield found[:, output]


def _probabilities(
    classifier: Classifier, sheets: np.ndarray, rows: np.ndarray, batch_size: int, device: Device
) -> np.ndarray:
    if not len(rows):
        return np.empty((0, len(classifier.description.outputs)), np.float32)
    unflipped = np.zeros(len(rows), dtype=bool)
    examples = Examples(np.asarray(rows), np.zeros(len(rows), np.int64), unflipped, unflipped)
    logits = map_logits(classifier.network, sheets, examples, batch_size=batch_size, device=device)
    several = classifier.description.activation == "sigmoid"
    found: np.ndarray = (torch.sigmoid(logits) if several else torch.softmax(logits, dim=1)).cpu().numpy()
    return found


def _positions(classifier: Classifier, names: Sequence[str], dataset: str) -> list[int]:
    outputs = classifier.description.outputs
    if missing := [name for name in names if name not in outputs]:
        raise InputError(
            f"{dataset}: the cascade needs outputs named {', '.join(names)}, and the model lacks {', '.join(missing)} "
            f"(it has {', '.join(outputs)}); put a model in its place that has them"
        )
    return [outputs.index(name) for name in names]
