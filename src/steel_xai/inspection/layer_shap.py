"""Which regions of a sheet drive an inner layer: expected gradients of the top-ranked classes, as maps.

Expected gradients (Erion et al. 2021, as ``shap.GradientExplainer`` computes them) of logit f_k behind a layer with
output z, for a sheet with z(x) and background sheets b::

    phi_i = E_b E_t [ (z_i(x) - z_i(b)) df_k/dz_i at z(b) + t (z(x) - z(b)) ],  t uniform in 0..1

summed over channels. They add up to f_k(x) - E f_k(b). shap's own form for inner layers, ``(model, layer)``, has the
activation in place of its difference from the background's, and adds up to something else; so it is given the part of
the network behind the layer, with the layer's output as input.
"""

import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.attribution.rewiring import private_copy
from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier
from steel_xai.device import MEMORY_FORMAT, place, select_device
from steel_xai.errors import InputError
from steel_xai.inference import probabilities
from steel_xai.inspection.modules import area_of, list_modules

_SAMPLES_AT_ONCE = 10
"""Of the integral; what shap holds of a layer of 400,000 values is then 100 MB."""


def explain_layers(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    chosen: pd.DataFrame,
    *,
    layers: Sequence[str] | None,
    n_classes: int,
    n_background: int,
    n_samples: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> tuple[np.ndarray, pd.DataFrame]:
    """Explain the most probable classes of sheets by the regions of inner layers.

    Args:
        classifier: Explained in evaluation mode, on a copy of its own.
        sheets: uint8 [N, C, h, w].
        split: From whose training sheets the background is drawn.
        chosen: The sheets, ``row, image_id, label, ...`` as ``choose_shap_sheets`` gives them.
        layers: Modules whose output is explained; None takes the first and the middle one of the feature extractor.
        n_classes: How many of the most probable classes are explained; all where there are fewer.
        n_background: Background sheets.
        n_samples: Samples of the expectation, in two halves; an odd number is rounded up.
        device: Where the network runs.
        seed: Of background and samples; a sheet's maps do not depend on the others.

    Returns:
        Maps float32 [M, h, w], the layer's relevances summed over channels and interpolated to the sheet's size, and
        one row for each: the columns of ``chosen``, ``layer``, ``channels``, ``height``, ``width`` (of the layer),
        ``rank`` (0 is the most probable class), ``class``, ``output`` (its name), ``probability``, ``relevance`` (sum
        over the layer), ``expected``, the logit less its mean over the background, which relevance approaches with
        more samples, and ``agreement``, the correlation between the maps of both halves of the samples.

    Raises:
        InputError: A layer does not exist or has no feature maps.
    """
    target = select_device(device)
    network = place(private_copy(classifier.network), target)
    background = _load(sheets, _draw_background(split, n_background, seed), target)
    names = list(layers) if layers is not None else default_layers(network)
    views = {name: _view(network, name, background) for name in names}
    outputs = classifier.description.outputs
    maps: list[np.ndarray] = []
    rows: list[dict[str, Any]] = []
    with tqdm(total=len(names) * len(chosen), desc="relevance in inner layers", unit="map") as bar:
        for sheet in chosen.to_dict("records"):
            image = _load(sheets, np.array([sheet["row"]]), target)
            for name, view in views.items():
                values = output_of(network, name, image)
                relevance, classes = _relevance(view.explainer, values, n_classes, n_samples, [seed, sheet["row"]])
                with torch.no_grad():
                    logits = view.behind(values)[0]
                shape = dict(zip(("channels", "height", "width"), values.shape[1:], strict=True))
                for rank, (k, halves) in enumerate(zip(classes, relevance, strict=True)):
                    whole = halves.mean(axis=0)
                    maps.append(_upsample(whole, sheets.shape[2:]))
                    row = {"rank": rank, "class": k, "output": outputs[k]}
                    row["probability"] = float(probabilities(logits, classifier.description.activation)[k])
                    row["relevance"] = float(whole.sum())
                    row["expected"] = float(logits[k] - view.mean_logits[k])
                    row["agreement"] = _correlation(*halves)
                    rows.append({**sheet, "layer": name, **shape, **row})
                bar.update()
    return np.stack(maps), pd.DataFrame(rows)


def choose_shap_sheets(predictions: pd.DataFrame, rows: Sequence[int], n_sheets: int, seed: int) -> pd.DataFrame:
    """Draw defective test sheets, one of each class in turn.

    Args:
        predictions: ``row, image_id, split, label, predicted, ...``.
        rows: Of the sheets to draw from, see ``maps.shown_rows``.
        n_sheets: How many; as many as there are where fewer are found.
        seed: Of the draw.

    Returns:
        ``row, image_id, label, predicted``.

    Raises:
        InputError: There is none.
    """
    found = predictions[(predictions["split"] == "test") & (predictions["label"] > 0) & predictions["row"].isin(rows)]
    if found.empty:
        raise InputError(
            "inspection: no test sheet has a defect and a mask (a defect alone, where labels come without masks), "
            "so that there is none to explain; give more sheets"
        )
    drawn = found.sample(frac=1, random_state=np.random.default_rng(seed))
    turn = drawn.groupby("label").cumcount()
    ordered = drawn.assign(turn=turn).sort_values(["turn", "label"], kind="stable")
    return ordered[["row", "image_id", "label", "predicted"]].head(n_sheets).reset_index(drop=True)


def default_layers(network: nn.Module) -> list[str]:
    """Name the first and the middle module of the feature extractor."""
    features = [name for name in list_modules(network) if area_of(network, name) == "features"]
    return [features[0], features[len(features) // 2]]


class _Behind(nn.Module):
    """The part of a network behind a layer: the layer's output [B, c, h', w'] to logits [B, K].

    The network runs on any one image while a hook puts the given output in the layer's place, which works for networks
    of any form.
    """

    def __init__(self, network: nn.Module, layer: str, image: torch.Tensor) -> None:
        super().__init__()
        self.network, self.layer, self.image = network, layer, image

    def forward(self, output: torch.Tensor) -> torch.Tensor:
        # shap hands on the standard layout.
        values = output.contiguous(memory_format=MEMORY_FORMAT)
        hook = self.network.get_submodule(self.layer).register_forward_hook(lambda *_: values)
        try:
            logits: torch.Tensor = self.network(self.image)
        finally:
            hook.remove()
        return logits


class _View(NamedTuple):
    """What explains one layer: the part behind it, its mean logits [K] over the background, and shap's explainer."""

    behind: nn.Module
    mean_logits: torch.Tensor
    explainer: Any


def _view(network: nn.Module, layer: str, background: torch.Tensor) -> _View:
    with warnings.catch_warnings():
        # Of the colour maps that shap registers with matplotlib.
        warnings.simplefilter("ignore", PendingDeprecationWarning)
        from shap import GradientExplainer

    behind = _Behind(network, layer, background[:1])
    values = output_of(network, layer, background)
    with torch.no_grad():
        mean_logits = behind(values).mean(dim=0)
    return _View(behind, mean_logits, GradientExplainer(behind, values, batch_size=_SAMPLES_AT_ONCE))


def _relevance(
    explainer: Any, values: torch.Tensor, n_classes: int, n_samples: int, entropy: Sequence[int]
) -> tuple[np.ndarray, list[int]]:
    """Explain the most probable classes by a layer's output [1, c, h', w'] of one sheet.

    Returns:
        Relevances summed over channels, of both halves of the samples, [R, 2, h', w'], and which classes they are of.
    """
    per_half = math.ceil(n_samples / 2 / _SAMPLES_AT_ONCE)
    seeds = np.random.SeedSequence(entropy).generate_state(2 * per_half).reshape(2, per_half)
    sizes = [len(part) for part in np.array_split(np.arange(math.ceil(n_samples / 2)), per_half)]
    halves, classes = [], []
    for of_half in seeds:
        total: Any = 0
        for size, seed in zip(sizes, of_half, strict=True):
            with _numpy_state_kept():
                relevance, ranked = explainer.shap_values(
                    values, nsamples=size, ranked_outputs=n_classes, rseed=int(seed)
                )
            classes = ranked[0].tolist()
            total = total + np.moveaxis(relevance[0].sum(axis=0), -1, 0) * size
        halves.append(total / sum(sizes))
    return np.stack(halves, axis=1), classes


def _correlation(first: np.ndarray, second: np.ndarray) -> float:
    """Correlate two maps; NaN where one is constant."""
    one, other = first.ravel() - first.mean(), second.ravel() - second.mean()
    norm = float(np.sqrt((one @ one) * (other @ other)))
    return float(one @ other) / norm if norm > 0 else math.nan


@contextmanager
def _numpy_state_kept() -> Iterator[None]:
    """Restore NumPy's global random state, which shap seeds."""
    state = np.random.get_state()  # noqa: NPY002
    try:
        yield
    finally:
        np.random.set_state(state)  # noqa: NPY002


def output_of(network: nn.Module, layer: str, images: torch.Tensor) -> torch.Tensor:
    """Compute what a layer puts out for images, [B, c, h', w'].

    Raises:
        InputError: There is no such layer, or it has no feature maps.
    """
    if layer not in dict(network.named_modules()):
        raise InputError(
            f"inspection: no layer '{layer}' in {type(network).__name__}; there are {', '.join(list_modules(network))}"
        )
    outputs: list[torch.Tensor] = []
    hook = network.get_submodule(layer).register_forward_hook(lambda _, __, output: outputs.append(output))
    try:
        with torch.no_grad():
            network(images)
    finally:
        hook.remove()
    if outputs[0].ndim != 4:
        raise InputError(
            f"inspection: layer '{layer}' has no feature maps to draw over a sheet; choose one of "
            + ", ".join(name for name in list_modules(network) if area_of(network, name) == "features")
        )
    return outputs[0]


def _draw_background(split: pd.DataFrame, n_background: int, seed: int) -> np.ndarray:
    """Draw rows of training sheets, without augmented copies."""
    rows = Examples.of(split[split["copy"] == 0], "train").rows
    return np.sort(np.random.default_rng(seed).choice(rows, min(n_background, len(rows)), replace=False))


def _load(sheets: np.ndarray, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    unflipped = np.zeros(len(rows), dtype=bool)
    return load_batch(sheets, Examples(rows, np.zeros(len(rows), dtype=np.int64), unflipped, unflipped), device)


def _upsample(relevance: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Interpolate a map [h', w'] to the sheet's size."""
    cells = torch.from_numpy(relevance.astype(np.float32))[None, None]
    return nn.functional.interpolate(cells, size=tuple(size), mode="bilinear", align_corners=False)[0, 0].numpy()
