"""The methods of one call put together, so that they share passes through the network."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import nn

from steel_xai.attribution import Options
from steel_xai.attribution.cam import Cam, cam_maps, gradcam, hirescam, layercam, positive_gradcam
from steel_xai.attribution.convention import absence, grey_maps
from steel_xai.attribution.deeplift import deeplift, draw_baselines, with_multipliers
from steel_xai.attribution.gradient import guided_backprop, integrated_gradients
from steel_xai.attribution.layers import FINE_STRIDE, choose_layer, find_stages
from steel_xai.attribution.lime import lime_maps
from steel_xai.attribution.rewiring import private_copy
from steel_xai.device import MEMORY_FORMAT

Explain = Callable[[torch.Tensor, torch.Tensor, Sequence[int]], dict[str, np.ndarray]]
"""From a batch of images [n, 3, H, W], targets [n] and seeds to signed maps [n, H, W] by method."""

_CAMS: dict[str, Cam] = {"gradcam": gradcam, "guided_gradcam": positive_gradcam}
_FINE_CAMS: dict[str, Cam] = {"hirescam": hirescam, "layercam": layercam}


def prepare(
    network: nn.Module,
    image: torch.Tensor,
    *,
    methods: Sequence[str],
    options: Options,
    baselines: torch.Tensor | None,
) -> Explain:
    """Do once what all batches need: copy the network, rewire it for the methods, choose the layers.

    Args:
        network: Stays as it is.
        image: [1, 3, H, W], of which only the size matters.
        methods: Names in ``METHODS``.
        options: Settings of the methods.
        baselines: Background images for DeepShap.

    Raises:
        InputError, ValueError: As ``attribute``.
    """
    own = private_copy(network)
    wanted = set(methods)
    steps = []
    if wanted & {"guided_backprop", *_CAMS, *_FINE_CAMS}:
        steps.append(_cams_and_guided_backprop(own, image, methods, options))
    if wanted & {"deeplift", "deepshap"}:
        steps.append(_differences(own, methods, options, baselines))
    if "integrated_gradients" in wanted:
        steps.append(_integrated_gradients(own, options))
    if "lime" in wanted:
        steps.append(_lime(own, options))

    def explain(images: torch.Tensor, targets: torch.Tensor, seeds: Sequence[int]) -> dict[str, np.ndarray]:
        batch = images.detach().contiguous(memory_format=MEMORY_FORMAT)
        return {method: maps for step in steps for method, maps in step(batch, targets, seeds).items()}

    return explain


def _cams_and_guided_backprop(
    network: nn.Module, image: torch.Tensor, methods: Sequence[str], options: Options
) -> Explain:
    """All class activation maps and guided backpropagation by one forward pass; guided GradCAM is their product."""
    cams = _choose_cams(network, image, methods, options)
    guided = bool({"guided_backprop", "guided_gradcam"} & set(methods))

    def explain(images: torch.Tensor, targets: torch.Tensor, _: Sequence[int]) -> dict[str, np.ndarray]:
        if not guided:
            maps = cam_maps(network, images, targets, list(cams.values()))
            return {method: found.cpu().numpy() for method, found in zip(cams, maps, strict=True)}
        gradient, maps = guided_backprop(network, images, targets, cams=list(cams.values()))
        found = {"guided_backprop": grey_maps(gradient), **dict(zip(cams, maps, strict=True))}
        if "guided_gradcam" in found:
            found["guided_gradcam"] = found["guided_gradcam"] * found["guided_backprop"]
        return {method: signed.cpu().numpy() for method, signed in found.items() if method in methods}

    return explain


def _differences(
    network: nn.Module, methods: Sequence[str], options: Options, background: torch.Tensor | None
) -> Explain:
    """DeepLift and DeepShap."""
    wanted = [method for method in ("deeplift", "deepshap") if method in methods]
    rescaled = with_multipliers(network, method=" and ".join(wanted))
    if "deepshap" in wanted and background is None:
        raise ValueError("deepshap needs baselines: background images, as a rule of the training sheets")

    def explain(images: torch.Tensor, targets: torch.Tensor, seeds: Sequence[int]) -> dict[str, np.ndarray]:
        references = {}
        if "deeplift" in wanted:
            references["deeplift"] = [absence(images, options.baseline)]
        if "deepshap" in wanted and background is not None:
            references["deepshap"] = draw_baselines(background, options.shap_baselines, seeds)
        return {
            method: grey_maps(deeplift(rescaled, images, targets, baselines)).cpu().numpy()
            for method, baselines in references.items()
        }

    return explain


def _integrated_gradients(network: nn.Module, options: Options) -> Explain:
    def explain(images: torch.Tensor, targets: torch.Tensor, _: Sequence[int]) -> dict[str, np.ndarray]:
        found = integrated_gradients(
            network,
            images,
            targets,
            absence(images, options.baseline),
            n_steps=options.ig_steps,
            batch_size=options.batch_size,
        )
        return {"integrated_gradients": grey_maps(found).cpu().numpy()}

    return explain


def _lime(network: nn.Module, options: Options) -> Explain:
    def explain(images: torch.Tensor, targets: torch.Tensor, seeds: Sequence[int]) -> dict[str, np.ndarray]:
        found = lime_maps(
            network,
            images,
            targets,
            n_samples=options.lime_samples,
            n_segments=options.lime_segments,
            seeds=seeds,
            batch_size=options.batch_size,
        )
        return {"lime": found}

    return explain


def _choose_cams(
    network: nn.Module, image: torch.Tensor, methods: Sequence[str], options: Options
) -> dict[str, tuple[Cam, str]]:
    """Choose formula and layer of each wanted method that has a class activation map in it."""
    if not {*_CAMS, *_FINE_CAMS} & set(methods):
        return {}
    stages = find_stages(network, image)
    last = choose_layer(network, stages, options.cam_layer)
    fine = choose_layer(network, stages, options.fine_layer, max_stride=FINE_STRIDE)
    cams = {name: (cam, last) for name, cam in _CAMS.items()} | {name: (cam, fine) for name, cam in _FINE_CAMS.items()}
    return {name: cam for name, cam in cams.items() if name in methods}
