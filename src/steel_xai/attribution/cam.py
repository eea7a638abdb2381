"""Class activation maps: a layer's feature maps A_c, weighted by the gradients G_c of a class's logit, summed.

GradCAM (Selvaraju et al. 2017) weights by the gradient's mean over the map, HiResCAM (Draelos & Carin 2020) cell by
cell, LayerCAM (Jiang et al. 2021) cell by cell with the positive part::

    GradCAM  = sum_c mean(G_c) A_c      HiResCAM = sum_c G_c A_c      LayerCAM = sum_c max(G_c, 0) A_c

All share one forward pass and one backward pass that ends at the finest layer. The papers' final ReLU is left to
``convention.evidence``: the negative part says what speaks against the class.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from steel_xai.attribution.layers import choose_layer, find_stages
from steel_xai.attribution.rewiring import private_copy
from steel_xai.errors import InputError

Cam = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
"""From feature maps and gradients, both [N, C, h, w], to maps [N, h, w]."""


def gradcam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Weight each feature map by its mean gradient."""
    return torch.einsum("nchw,nc->nhw", features, gradients.mean(dim=(2, 3)))


def positive_gradcam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Take GradCAM's positive part at the layer's own resolution, as guided GradCAM multiplies by it."""
    return gradcam(features, gradients).clamp(min=0)


def hirescam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Weight each cell by its own gradient."""
    return (features * gradients).sum(dim=1)


def layercam(features: torch.Tensor, gradients: torch.Tensor) -> torch.Tensor:
    """Weight each cell by the positive part of its gradient."""
    return (features * gradients.clamp(min=0)).sum(dim=1)


def cam_maps(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor, cams: Sequence[tuple[Cam, str]]
) -> list[torch.Tensor]:
    """Compute class activation maps, each at a layer of its own, by one forward pass and the head's backward pass.

    Args:
        network: A private copy.
        images: [N, 3, H, W].
        targets: Class of each image, [N].
        cams: Formula and layer of each map.

    Returns:
        A batch of signed maps [N, H, W] for each of ``cams``, brought to the images' size by bilinear interpolation.

    Raises:
        InputError: A layer gives no feature maps, or the logits do not depend on it.
    """
    with recorded(network, [layer for _, layer in cams]) as features, torch.enable_grad():
        score = network(images).gather(1, targets[:, None]).sum()
    return maps_of_features(score, features, cams, images.shape[2:], retain_graph=False)


def maps_of_features(
    score: torch.Tensor,
    features: Mapping[str, torch.Tensor],
    cams: Sequence[tuple[Cam, str]],
    size: Sequence[int],
    *,
    retain_graph: bool,
) -> list[torch.Tensor]:
    """Go back from the sum of a batch's scores to recorded layers, and make the maps of ``cam_maps``."""
    if not cams:
        return []
    gradients = dict(zip(features, _gradients(score, features, retain_graph=retain_graph), strict=True))
    maps = [cam(features[layer].detach(), gradients[layer]) for cam, layer in cams]
    return [upsample(coarse[:, None], size)[:, 0] for coarse in maps]


def gradcam_all_classes(network: nn.Module, images: torch.Tensor, *, layer: str | None = None) -> np.ndarray:
    """Compute GradCAM with respect to every class by one forward pass and one backward pass of the head a class.

    Args:
        network: Any network of the project or of torchvision; left as it is.
        images: Normalised float32 [N, 3, H, W] on the network's device.
        layer: Name of a layer; by default the last convolutional stage.

    Returns:
        Signed maps, float32 [N, K, H, W].

    Raises:
        NoStages, InputError: As ``find_stages`` and ``cam_maps``.
    """
    own = private_copy(network)
    layer = choose_layer(own, find_stages(own, images[:1]), layer)
    with recorded(own, [layer]) as features, torch.enable_grad():
        scores = own(images).sum(dim=0)
    maps = [gradcam(features[layer].detach(), *_gradients(score, features, retain_graph=True)) for score in scores]
    return upsample(torch.stack(maps, dim=1), images.shape[2:]).cpu().numpy()


def upsample(maps: torch.Tensor, size: Sequence[int]) -> torch.Tensor:
    """Bring maps [N, K, h, w] to height and width ``size`` by bilinear interpolation."""
    return functional.interpolate(maps, size=tuple(size), mode="bilinear", align_corners=False)


@contextmanager
def recorded(network: nn.Module, layers: Iterable[str]) -> Iterator[dict[str, torch.Tensor]]:
    """Record the outputs of layers; where no gradient reaches the image, the first of them starts the graph."""
    features: dict[str, torch.Tensor] = {}

    def hook(layer: str, output: object) -> torch.Tensor:
        if not isinstance(output, torch.Tensor) or output.ndim != 4:
            raise InputError(f"Layer {layer} gives no feature maps [channels, height, width] to make a map of")
        features[layer] = output if output.requires_grad else output.detach().requires_grad_()
        # A copy goes on, because a function such as relu(values, inplace=True) may come next.
        return features[layer].clone()

    handles = [
        network.get_submodule(layer).register_forward_hook(lambda _, __, output, layer=layer: hook(layer, output))
        for layer in dict.fromkeys(layers)
    ]
    try:
        yield features
    finally:
        for handle in handles:
            handle.remove()


def _gradients(
    score: torch.Tensor, features: Mapping[str, torch.Tensor], *, retain_graph: bool
) -> tuple[torch.Tensor, ...]:
    gradients = torch.autograd.grad(score, list(features.values()), retain_graph=retain_graph, allow_unused=True)
    for layer, gradient in zip(features, gradients, strict=True):
        if gradient is None:
            raise InputError(f"The logits do not depend on layer {layer}; choose another")
    return gradients
