"""A classifier as one ONNX file, from raw pixels to calibrated probabilities, for machines without PyTorch.

What the file computes, for uint8 sheets [N, C, H, W] of the raw size: area averages of the tensor's size, rounded to
whole grey levels as processing rounds them; normalisation; the network's logits z; softmax(z / T) with the temperature
T of the calibration (Guo et al. 2017); and whether max softmax(z) reaches the threshold for an answer.
"""

import copy
import json
import math
from collections.abc import Mapping
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np
import torch
from torch import nn

from steel_xai.batches import normalise
from steel_xai.classifier import Classifier
from steel_xai.errors import InputError

INPUT = "sheets"
OUTPUTS = ("probabilities", "logits", "answered")

_PACKAGES = ("onnx", "onnxruntime", "onnxscript")
_OPSET = 18


class RawSheetClassifier(nn.Module):
    """A network with all that surrounds it: uint8 sheets [N, C, H, W] to probabilities, logits and answers.

    Args:
        network: Normalised images [N, 3, h, w] to logits [N, K].
        raw_size: H and W.
        tensor_size: h and w.
        temperature: Divides the logits before the softmax.
        threshold: Least max softmax(logits) of an answered sheet; None if no sheet is to be answered.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        raw_size: tuple[int, int],
        tensor_size: tuple[int, int],
        temperature: float,
        threshold: float | None,
    ) -> None:
        super().__init__()
        self.shrink = AreaAverage(raw_size, tensor_size)
        self.network = network
        self.temperature = temperature
        self.threshold = math.inf if threshold is None else threshold

    def forward(self, sheets: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Compute probabilities [N, K] with the temperature, logits [N, K] without, and answered [N], a bool."""
        logits = self.network(normalise(self.shrink(sheets)))
        probabilities = torch.softmax(logits / self.temperature, dim=1)
        return probabilities, logits, torch.softmax(logits, dim=1).amax(dim=1) >= self.threshold


class AreaAverage(nn.Module):
    """Reduce uint8 sheets [N, C, H, W] to [N, C, h, w], float32 with whole grey levels: OpenCV's ``INTER_AREA``.

    Where the sides are whole multiples, each value equals OpenCV's. Elsewhere an average that lies exactly halfway
    between two levels may come out one level higher.
    """

    rows: torch.Tensor
    columns: torch.Tensor

    def __init__(self, raw_size: tuple[int, int], tensor_size: tuple[int, int]) -> None:
        super().__init__()
        sides = list(zip(raw_size, tensor_size, strict=True))
        self.is_same = raw_size == tensor_size
        is_whole = all(raw % size == 0 for raw, size in sides)
        self.block = [raw // size for raw, size in sides] if is_whole else None
        # In double precision, so that only what is exactly halfway depends on who multiplies the matrices.
        rows, columns = (torch.zeros(0) if is_whole else torch.from_numpy(_overlaps(*side)) for side in sides)
        self.register_buffer("rows", rows)
        self.register_buffer("columns", columns.t().contiguous())

    def forward(self, sheets: torch.Tensor) -> torch.Tensor:
        """Average and round."""
        if self.is_same:
            return sheets.float()
        if self.block is None:
            return torch.floor(self.rows @ sheets.double() @ self.columns + (0.5 + 1e-6)).float()
        averages = nn.functional.avg_pool2d(sheets.float(), self.block)
        # OpenCV rounds a half up in blocks of 2x2, and to the even neighbour in all others.
        return torch.floor(averages + 0.5) if self.block == [2, 2] else torch.round(averages)


def export_classifier(
    classifier: Classifier,
    *,
    raw_size: tuple[int, int],
    calibration: Mapping[str, Any],
    metrics: Mapping[str, Any],
    data_source: str,
) -> tuple[bytes, RawSheetClassifier]:
    """Write a classifier as ONNX, with pre- and post-processing inside.

    Args:
        classifier: The model.
        raw_size: Height and width of the sheets that the file takes.
        calibration: With the ``temperature``.
        metrics: With the threshold for an answer, under ``abstention``.
        data_source: On whose validation sheets temperature and threshold were chosen.

    Returns:
        The file's content, and the same computation in PyTorch. The file takes ``sheets`` and gives ``OUTPUTS`` for
        any N; its metadata are texts: JSON where they are no plain name.

    Raises:
        InputError: The extra ``onnx`` is not installed, the model finds more than one class a sheet, the raw size is
            smaller than the tensor's, the network cannot be exported, or calibration or metrics are not this model's.
    """
    require_packages()
    about = classifier.description
    if about.activation != "softmax":
        raise InputError("The export is for models of one class a sheet, and this one finds any number of classes")
    if any(raw < size for raw, size in zip(raw_size, about.tensor_size, strict=True)):
        raise InputError(
            f"raw_size: sheets of {raw_size[0]}x{raw_size[1]} pixels are smaller than the tensors of "
            f"{about.tensor_size[0]}x{about.tensor_size[1]} that the model sees; an export reduces sheets only"
        )
    _check_measured_on(classifier, calibration, metrics)
    network = copy.deepcopy(classifier.network).cpu().requires_grad_(False).to(memory_format=torch.contiguous_format)
    module = RawSheetClassifier(
        network,
        raw_size=raw_size,
        tensor_size=about.tensor_size,
        temperature=calibration["temperature"],
        threshold=metrics["abstention"]["threshold"],
    ).eval()
    proto = _to_onnx(module, about.architecture, (2, about.n_channels, *raw_size))
    for key, value in _metadata(classifier, raw_size, calibration, metrics, data_source).items():
        proto.metadata_props.add(key=key, value=value)
    return proto.SerializeToString(), module


def require_packages() -> None:
    """Raise InputError if the extra ``onnx`` is not installed."""
    missing = [name for name in _PACKAGES if find_spec(name) is None]
    if missing:
        raise InputError(
            f"The export needs {', '.join(missing)}: `make setup` in the project's folder installs what is missing, "
            "and so does `pip install '.[onnx]'` there"
        )


def _check_measured_on(classifier: Classifier, calibration: Mapping[str, Any], metrics: Mapping[str, Any]) -> None:
    """Refuse a temperature or threshold that was chosen with another model."""
    about = classifier.description
    own = {"seed": about.seed, "best_epoch": about.best_epoch, "seconds_training": about.seconds_training}
    fits = all(metrics.get(name) == value for name, value in own.items())
    if not fits or calibration["seed"] != about.seed or calibration["n_classes"] != len(about.outputs):
        raise InputError(
            "The metrics or the calibration were made with another model than the one to export, so its temperature "
            "and threshold would not hold; `kedro run --pipeline=evaluation` makes them anew"
        )


def _to_onnx(module: nn.Module, architecture: str, shape: tuple[int, ...]) -> Any:
    """Trace the module and translate it; the number of sheets stays open."""
    sheets = torch.zeros(shape, dtype=torch.uint8)
    try:
        program: Any = torch.onnx.export(
            module,
            (sheets,),
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("n_sheets")},),
            input_names=[INPUT],
            output_names=OUTPUTS,
            opset_version=_OPSET,
            verbose=False,
        )
    except torch.onnx.errors.OnnxExporterError as error:
        raise InputError(f"training.architecture: {architecture} cannot be written as ONNX ({error})") from error
    return program.model_proto


def _metadata(
    classifier: Classifier,
    raw_size: tuple[int, int],
    calibration: Mapping[str, Any],
    metrics: Mapping[str, Any],
    data_source: str,
) -> dict[str, str]:
    about, abstention = classifier.description, metrics["abstention"]
    values = {
        "class_names": about.outputs,
        "temperature": calibration["temperature"],
        "answer_threshold": abstention["threshold"],
        "answer_target_accuracy": abstention["target_accuracy"],
        "seed": about.seed,
        "raw_size": raw_size,
        "tensor_size": about.tensor_size,
        "n_channels": about.n_channels,
        "n_train": about.n_train,
    }
    names = {
        "architecture": about.architecture,
        "weights": about.weights,
        "data_source": data_source,
        "model_trained_on": about.data_source,
        "sheets_fingerprint": about.sheets_fingerprint,
        "split_fingerprint": about.split_fingerprint,
        "steel_xai_version": version("steel-xai"),
    }
    return names | {key: json.dumps(value) for key, value in values.items()}


def _overlaps(raw: int, size: int) -> np.ndarray:
    """Tell how much of each of ``size`` cells each of ``raw`` pixels covers, float64 [size, raw], rows of sum 1."""
    edges = np.arange(size + 1) * raw / size
    pixels = np.arange(raw)
    ends = np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels)
    overlaps: np.ndarray = np.clip(ends, 0, None) * size / raw
    return overlaps
