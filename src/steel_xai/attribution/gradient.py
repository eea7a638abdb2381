"""Gradients at the image: guided backpropagation and integrated gradients."""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import nn
from torch.overrides import TorchFunctionMode

from steel_xai.attribution.cam import Cam, maps_of_features, recorded
from steel_xai.errors import InputError

_RELUS = {"relu", "relu_"}
_OTHER_ACTIVATIONS = {
    *("celu", "elu", "gelu", "glu", "hardsigmoid", "hardswish", "hardtanh", "leaky_relu", "logsigmoid", "mish"),
    *("multi_head_attention_forward", "prelu", "relu6", "rrelu", "scaled_dot_product_attention", "selu", "sigmoid"),
    *("silu", "softplus", "softsign", "tanh"),
}


def guided_backprop(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor, *, cams: Sequence[tuple[Cam, str]] = ()
) -> tuple[torch.Tensor, list[torch.Tensor]]:
    """Guided backpropagation (Springenberg et al. 2015): the gradient, cut off at 0 at every ReLU it passes.

    Class activation maps can share its forward pass; their own backward pass through the head is the usual one.

    Args:
        network: A private copy.
        images: [N, 3, H, W].
        targets: Class of each image, [N].
        cams: As for ``cam_maps``.

    Returns:
        [N, 3, H, W], and the maps of ``cam_maps``.

    Raises:
        InputError: The network has activations other than ReLU, for which guided backpropagation is not defined, or as
            ``cam_maps``.
    """
    images = images.detach().requires_grad_()
    relus = _GuidedReLUs(type(network).__name__)
    with recorded(network, [layer for _, layer in cams]) as features, torch.enable_grad(), relus:
        score = network(images).gather(1, targets[:, None]).sum()
    maps = maps_of_features(score, features, cams, images.shape[2:], retain_graph=True)
    relus.guide = True
    (gradient,) = torch.autograd.grad(score, images)
    return gradient, maps


def integrated_gradients(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    baseline: torch.Tensor,
    *,
    n_steps: int,
    batch_size: int,
) -> torch.Tensor:
    """Integrated gradients (Sundararajan et al. 2017) on the straight line from a baseline, by Gauss-Legendre steps.

    Args:
        network: A private copy.
        images: [N, 3, H, W].
        targets: Class of each image, [N].
        baseline: [1, 3, H, W] or [N, 3, H, W].
        n_steps: Points on the line.
        batch_size: Points that the network sees at a time; at least N.

    Returns:
        [N, 3, H, W]; each image's add up to the difference of its logit from the baseline's, up to the error of steps.
    """
    from captum.attr import IntegratedGradients

    found: torch.Tensor = IntegratedGradients(network).attribute(
        images.detach(),
        baselines=baseline.expand_as(images),
        target=targets,
        n_steps=n_steps,
        internal_batch_size=max(batch_size, len(images)),
    )
    return found.detach().float()


class _GuidedReLUs(TorchFunctionMode):
    """Within it, every ReLU cuts the gradient off at 0 once ``guide`` is set, be it a module, shared, or a function."""

    def __init__(self, network: str) -> None:
        super().__init__()
        self.network = network
        self.guide = False

    def __torch_function__(
        self, func: Callable[..., Any], types: Any, args: Sequence[Any] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        name = getattr(func, "__name__", "")
        if name in _OTHER_ACTIVATIONS:
            raise InputError(
                f"guided_backprop and guided_gradcam: no rule for {name}, which {self.network} has; leave these "
                "methods out, or train an architecture whose activations are ReLUs"
            )
        output = func(*args, **(kwargs or {}))
        if name in _RELUS and output.requires_grad:
            output.register_hook(lambda gradient: gradient.clamp(min=0) if self.guide else gradient)
        return output
