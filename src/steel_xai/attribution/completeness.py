"""Whether attributions add up to what they explain."""

from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

from steel_xai.attribution import BATCH_PARAMETER, Options, attribute
from steel_xai.attribution.convention import absence
from steel_xai.attribution.deeplift import draw_baselines
from steel_xai.attribution.rewiring import private_copy
from steel_xai.memory import BatchSize, in_batches

COMPLETE_METHODS = ("deeplift", "deepshap", "integrated_gradients")
"""Their attributions of an image add up to f(x) - f(x'), with DeepShap's f(x') the mean over its baselines."""


def completeness_errors(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    options: Options,
    baselines: torch.Tensor,
    seeds: Sequence[int],
    methods: Sequence[str] = COMPLETE_METHODS,
) -> dict[str, np.ndarray]:
    """Measure by how much the maps of complete methods miss the difference of outputs.

    Args:
        network: As for ``attribute``, and so are the other arguments.
        images: Normalised float32 [N, 3, H, W].
        targets: Class of each image, [N].
        options: Settings of the methods.
        baselines: DeepShap's background images, [B, 3, H, W].
        seeds: One an image.
        methods: Some of ``COMPLETE_METHODS``.

    Returns:
        By method, |sum of the map - (f(x) - f(x'))| of each image [N], as a share of the largest absolute logit of the
        image and its baseline: those of one class may happen to be almost the same. DeepLift and DeepShap miss by
        rounding (1e-6), integrated gradients by their number of steps as well.
    """
    if not methods:
        return {}
    maps = attribute(network, images, targets, methods=methods, options=options, baselines=baselines, seeds=seeds)
    own = private_copy(network)
    batch = BatchSize(options.batch_size, BATCH_PARAMETER)
    outputs = _logits(own, images, batch)
    absent = _logits(own, absence(images, options.baseline), batch)
    explained = targets.cpu().numpy()[:, None]
    errors = {}
    for method, signed in maps.items():
        reference = absent
        if method == "deepshap":
            drawn = draw_baselines(baselines, options.shap_baselines, seeds)
            reference = np.mean([_logits(own, of_images, batch) for of_images in drawn], axis=0)
        difference = np.take_along_axis(outputs - reference, explained, axis=1)[:, 0]
        scale = np.maximum(np.abs(outputs), np.abs(reference)).max(axis=1)
        errors[method] = np.abs(signed.sum(axis=(1, 2), dtype=np.float64) - difference) / scale
    return errors


def _logits(network: nn.Module, images: torch.Tensor, batch: BatchSize) -> np.ndarray:
    """Compute all logits of each image, float64 [N, K]."""
    with torch.inference_mode():
        parts = in_batches(lambda part: network(images[part]), len(images), batch)
        logits: np.ndarray = torch.cat([found for _, found in parts]).double().cpu().numpy()
    return logits
