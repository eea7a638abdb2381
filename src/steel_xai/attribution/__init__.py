"""Which pixels decide: attribution methods by name, one signature for all of them."""

import functools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import nn

    from steel_xai.attribution.engine import Explain
    from steel_xai.memory import BatchSize


@dataclass(frozen=True)
class Method:
    """An attribution method.

    Attributes:
        title: Its name in tables and figures.
        family: ``gradient`` goes back to the image's values, ``cam`` to the feature maps of a layer, ``perturbation``
            hides parts of the image and uses no gradients.
        is_seeded: Draws random numbers, so that another seed gives another map.
    """

    title: str
    family: Literal["gradient", "cam", "perturbation"]
    is_seeded: bool = False

    @property
    def uses_gradients(self) -> bool:
        """Tell whether a network with random weights is a control: its gradients see the image's edges as well."""
        return self.family != "perturbation"


METHODS: Mapping[str, Method] = {
    "deeplift": Method("DeepLift", "gradient"),
    "deepshap": Method("DeepShap", "gradient", is_seeded=True),
    "gradcam": Method("GradCAM", "cam"),
    "guided_gradcam": Method("GuidedGradCAM", "gradient"),
    "guided_backprop": Method("GuidedBackprop", "gradient"),
    "integrated_gradients": Method("IntegratedGradients", "gradient"),
    "lime": Method("LIME", "perturbation", is_seeded=True),
    "layercam": Method("LayerCAM", "cam"),
    "hirescam": Method("HiResCAM", "cam"),
}
"""The study's seven, and two that are sharp at finer layers than the last."""


@dataclass(frozen=True)
class Options:
    """Settings of the methods; the defaults suit two CPU cores.

    Attributes:
        batch_size: Images, or changed images, that the network sees at a time.
        baseline: Image without evidence from which DeepLift and integrated gradients measure: each image's ``mean`` in
            every channel, or its ``blur``. From a blurred image even a network with random weights finds texture,
            because its attributions are differences from the local mean.
        ig_steps: Points on integrated gradients' line. On 12 sheets of the sample a task, maps of 32 correlate by
            0.9976 or more with those of 300; with 20 points, 0.982.
        shap_baselines: Background images that DeepShap averages over.
        lime_samples: Changed images that LIME's linear model is fitted to.
        lime_segments: Cells of an image that LIME weighs, about.
        cam_layer: Layer of GradCAM and GuidedGradCAM; None for the last convolutional stage.
        fine_layer: Layer of LayerCAM and HiResCAM; None for the last stage with cells of 4 pixels at most.
    """

    batch_size: int = 8
    baseline: Literal["mean", "blur"] = "mean"
    ig_steps: int = 32
    shap_baselines: int = 8
    lime_samples: int = 200
    lime_segments: int = 100
    cam_layer: str | None = None
    fine_layer: str | None = None


BATCH_PARAMETER = "interpretation.options.cuda_batch_size"
"""Where a batch comes from that does not fit into a device's memory; a CPU's memory does not give out by itself."""


def attribute(
    network: "nn.Module",
    images: "torch.Tensor",
    targets: "torch.Tensor",
    *,
    methods: Sequence[str],
    options: Options,
    baselines: "torch.Tensor | None",
    seeds: Sequence[int],
    batch: "BatchSize | None" = None,
) -> dict[str, np.ndarray]:
    """Explain the logit of one class for each image, by several methods that share what work they can.

    All methods work on a copy of the network in evaluation mode; the given one stays as it is, whatever happens. An
    image's maps do not depend on those beside it.

    Args:
        network: From normalised images to logits [N, K].
        images: Normalised float32 [N, 3, H, W] on the network's device.
        targets: Class explained of each image, int64 [N].
        methods: Names in ``METHODS``.
        options: Settings of the methods.
        baselines: Background images for DeepShap, normalised float32 [B, 3, H, W].
        seeds: One an image, for DeepShap's choice of baselines and LIME's samples.
        batch: How many images at a time, from earlier calls on the same device; None for ``options.batch_size``.

    Returns:
        By method, signed maps float32 [N, H, W], as ``convention`` says: positive values speak for the class.

    Raises:
        InputError: The network has something that a method is not defined for; the message names both. Or not even one
            image fits into the device's memory.
        ValueError: A method is unknown, or DeepShap is without baselines.
    """
    _check_known(methods)
    if not len(images) or not methods:
        return {method: np.empty((len(images), *images.shape[2:]), np.float32) for method in methods}
    explain = prepare(network, images[:1], methods=methods, options=options, baselines=baselines, batch=batch)
    return explain(images, targets, seeds)


def prepare(
    network: "nn.Module",
    image: "torch.Tensor",
    *,
    methods: Sequence[str],
    options: Options,
    baselines: "torch.Tensor | None",
    batch: "BatchSize | None" = None,
) -> "Explain":
    """Do once what ``attribute`` needs for several calls: copy the network, rewire it, choose the layers.

    Args:
        network: As for ``attribute``, and so are the other arguments.
        image: One of the images, [1, 3, H, W], of which only the size matters.
        methods: Names in ``METHODS``, at least one.
        options: Settings of the methods.
        baselines: Background images for DeepShap.
        batch: How many images at a time.

    Returns:
        Computes what ``attribute`` does, from images, targets and seeds.

    Raises:
        InputError, ValueError: As ``attribute``.
    """
    from steel_xai.attribution import engine
    from steel_xai.memory import BatchSize, in_batches

    _check_known(methods)
    shared = BatchSize(options.batch_size, BATCH_PARAMETER) if batch is None else batch

    @functools.cache
    def prepared(size: int) -> "Explain":
        sized = replace(options, batch_size=size)
        return engine.prepare(network, image, methods=methods, options=sized, baselines=baselines)

    def explain(images: "torch.Tensor", targets: "torch.Tensor", seeds: Sequence[int]) -> dict[str, np.ndarray]:
        maps = {method: np.empty((len(images), *images.shape[2:]), np.float32) for method in methods}

        def of_part(part: slice) -> dict[str, np.ndarray]:
            return prepared(shared.size)(images[part], targets[part], seeds[part])

        for part, found in in_batches(of_part, len(images), shared):
            for method, of_method in found.items():
                maps[method][part] = of_method
        return maps

    prepared(shared.size)
    return explain


def _check_known(methods: Sequence[str]) -> None:
    unknown = [method for method in methods if method not in METHODS]
    if unknown:
        raise ValueError(f"unknown attribution methods {unknown}; there are {', '.join(METHODS)}")
