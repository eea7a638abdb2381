"""What speaks for and against each class, on a few sheets, on the errors, and near the black edge: by GradCAM."""

from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
from tqdm import tqdm

from steel_xai.attribution.cam import gradcam_all_classes
from steel_xai.attribution.layers import NoStages
from steel_xai.classifier import Classifier
from steel_xai.device import place, select_device
from steel_xai.evaluation.error_analysis import edge_relevance, measure_edge_hypothesis, most_confident_errors
from steel_xai.interpretation.explain import load_images
from steel_xai.interpretation.maps import grey_sheets

METHOD = "gradcam"

_BATCH = 32
"""Sheets of which the maps of all outputs are held at a time."""

Device = Literal["auto", "cpu", "cuda"]


class ExplainedErrors(NamedTuple):
    """The most confident errors and why they were made.

    Attributes:
        errors: See ``error_analysis.most_confident_errors``.
        maps: GradCAM of the outputs in ``classes``, float32 [N, 2, h, w].
        classes: The output that was predicted, and the true one, [N, 2]; 0 and 1 in a binary task.
        note: Why no maps can be made of the network, which are then [N, 0, h, w], and ``classes`` [N, 0]; else None.
    """

    errors: pd.DataFrame
    maps: np.ndarray
    classes: np.ndarray
    note: str | None


def explain_every_class(
    classifier: Classifier, sheets: np.ndarray, rows: np.ndarray, *, layer: str | None, device: Device
) -> np.ndarray:
    """Compute GradCAM with respect to every output: signed maps float32 [n, K, h, w] of the sheets ``rows``.

    Raises:
        NoStages: The network has no layer that GradCAM could be made of.
    """
    target = select_device(device)
    return gradcam_all_classes(place(classifier.network, target), load_images(sheets, rows, target), layer=layer)


def explain_errors(
    classifier: Classifier,
    predictions: pd.DataFrame,
    sheets: np.ndarray,
    *,
    per_group: int,
    layer: str | None,
    device: Device,
) -> ExplainedErrors:
    """Explain the most confident errors among the test sheets by GradCAM of the predicted and of the true class.

    Args:
        classifier: That made the predictions.
        predictions: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``.
        sheets: uint8 [N, C, h, w].
        per_group: At most this many false positives and false negatives of each class.
        layer: Of GradCAM; None for the last convolutional stage.
        device: Where the network runs.
    """
    errors = most_confident_errors(predictions, per_group=per_group)
    classes = np.sort(errors[["predicted", "label"]].to_numpy(), axis=1)
    if errors.empty:
        return ExplainedErrors(errors, np.empty((0, 2, *sheets.shape[2:]), np.float32), classes, None)
    try:
        maps = explain_every_class(classifier, sheets, errors["row"].to_numpy(), layer=layer, device=device)
    except NoStages as error:
        none = np.empty((len(errors), 0, *sheets.shape[2:]), np.float32)
        return ExplainedErrors(errors, none, classes[:, :0], error.reason)
    return ExplainedErrors(errors, maps[np.arange(len(errors))[:, None], classes], classes, None)


def examine_edge_hypothesis(
    classifier: Classifier,
    predictions: pd.DataFrame,
    sheets: np.ndarray,
    *,
    raw_width: int,
    reach: float,
    layer: str | None,
    n_samples: int,
    device: Device,
) -> dict[str, Any]:
    """Measure for each defect output whether its false positives are sheets where the model looks at the black edge.

    Validation and test sheets are taken together: the network was trained on neither, and errors are few.

    Args:
        classifier: That made the predictions.
        predictions: ``row, split, label, predicted``.
        sheets: uint8 [N, C, h, w].
        raw_width: Of a raw sheet in pixels.
        reach: Distance from the edge that counts as near, in raw pixels.
        layer: Of GradCAM; None for the last convolutional stage.
        n_samples: Resamples of the sheets behind the intervals.
        device: Where the network runs.

    Returns:
        ``method``, ``reach`` (raw pixels), ``splits``, ``n``; ``outputs``: for each but the first, see
        ``error_analysis.measure_edge_hypothesis``; and ``note``: None, or why there is no GradCAM of the network, and
        so no output.
    """
    scale = sheets.shape[3] / raw_width
    outputs = classifier.description.outputs
    rows = predictions["row"].to_numpy()
    record: dict[str, Any] = {
        "method": METHOD,
        "reach": reach,
        "splits": predictions["split"].drop_duplicates().tolist(),
        "n": len(rows),
        "outputs": {},
        "note": None,
    }
    shares = np.empty((len(rows), len(outputs)))
    even = np.empty(len(rows))
    for start in tqdm(range(0, len(rows), _BATCH), desc="black edge", unit="batch"):
        part = slice(start, start + _BATCH)
        grey = grey_sheets(sheets, rows[part])
        try:
            maps = np.maximum(explain_every_class(classifier, sheets, rows[part], layer=layer, device=device), 0)
        except NoStages as error:
            return record | {"note": error.reason}
        for k in range(len(outputs)):
            shares[part, k] = edge_relevance(maps[:, k], grey, reach=reach * scale)
        even[part] = edge_relevance(np.ones(grey.shape, np.float32), grey, reach=reach * scale)
    seed = classifier.description.seed
    record["outputs"] = {
        name: measure_edge_hypothesis(predictions, shares[:, k], even, of_class=k, n_samples=n_samples, seed=seed)
        for k, name in enumerate(outputs)
        if k > 0
    }
    return record
