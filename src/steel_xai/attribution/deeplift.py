"""DeepLift (Shrikumar et al. 2017) by the rescale rule, and DeepShap (Lundberg & Lee 2017): complete attributions.

DeepLift goes backwards with multipliers instead of gradients: that of an activation y = g(x) is the ratio
(g(x) - g(x')) / (x - x') of its differences from a baseline x'. The products of an image's multipliers and differences
add up to f(x) - f(x'). DeepShap is the mean of DeepLift over baselines.

captum 0.9.0 misses that where max poolings overlap, as SqueezeNet's do: it unpools by ``max_unpool2d``, which
overwrites where two windows share their maximum, and between a ReLU and a pooling it uses a gradient that is out of
date. It also carries the baselines backwards, though their multipliers are the images'. Hence activations of our own:
one pass of the images forwards, one of each baseline, and one backwards for each, a third of captum's time.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from steel_xai.attribution.rewiring import rewire
from steel_xai.errors import InputError
from steel_xai.patches import SheetFromWindows

_TINY = 1e-30
"""Keeps 0 / 0 at 0."""


def with_multipliers(network: nn.Module, *, method: str) -> nn.Module:
    """Rewire a private copy for ``deeplift``.

    Raises:
        InputError: It is a network of windows, whose maximum over windows has no rule, or ``rewire`` refuses it.
    """
    if isinstance(network, SheetFromWindows):
        raise InputError(
            f"{method}: no rule for the maximum over windows by which a model with training.patches judges a sheet; "
            "leave this method out, or train with training.patches: null"
        )
    return rewire(network, relu=_RescaledReLU, max_pool=_RescaledMaxPool, method=method)


def deeplift(
    network: nn.Module, images: torch.Tensor, targets: torch.Tensor, baselines: Sequence[torch.Tensor]
) -> torch.Tensor:
    """Attribute the targets' logits to the images' values, on average over baselines.

    Args:
        network: Made by ``with_multipliers``.
        images: [N, 3, H, W].
        targets: Class of each image, [N].
        baselines: Each [N, 3, H, W], or [1, 3, H, W] for one that all images share.

    Returns:
        [N, 3, H, W]; each image's add up to the difference of its logit from its baselines' mean logit.
    """
    images = images.detach().requires_grad_()
    with torch.enable_grad():
        score = network(images).gather(1, targets[:, None]).sum()
    total = torch.zeros_like(images, requires_grad=False)
    for baseline in baselines:
        with torch.no_grad():
            network(baseline)
        (multipliers,) = torch.autograd.grad(score, images, retain_graph=True)
        total += multipliers * (images.detach() - baseline)
    return total / len(baselines)


def draw_baselines(background: torch.Tensor, n_baselines: int, seeds: Sequence[int]) -> list[torch.Tensor]:
    """Draw each image's baselines from a background [B, 3, H, W], without replacement and by the image's own seed.

    Returns:
        Batches [N, 3, H, W] of one baseline an image: ``n_baselines`` of them, or B if that is fewer. Memory does not
        grow with their number once they are used one by one.
    """
    drawn = np.stack([np.random.default_rng(seed).permutation(len(background))[:n_baselines] for seed in seeds])
    return [background[torch.from_numpy(rows).to(background.device)] for rows in drawn.T]


class _Rescaled(nn.Module):
    """An activation that passes multipliers backwards; its last pass without gradients is that of the baseline."""

    def __init__(self) -> None:
        super().__init__()
        self.baseline: Sequence[torch.Tensor] = ()

    def forward(self, values: torch.Tensor) -> torch.Tensor:
        if torch.is_grad_enabled():
            passed: torch.Tensor = _PassMultipliers.apply(values, self)
            return passed
        output, self.baseline = self.activate(values)
        return output

    def activate(self, values: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        """Compute the output, and what the rule has to know of the pass."""
        raise NotImplementedError

    def rescale(self, multiplier: torch.Tensor, image: Sequence[torch.Tensor]) -> torch.Tensor:
        """Compute the input's multiplier from the output's."""
        raise NotImplementedError


class _PassMultipliers(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, values: torch.Tensor, activation: _Rescaled) -> torch.Tensor:
        output, known = activation.activate(values)
        ctx.save_for_backward(*known)
        ctx.activation = activation
        return output

    @staticmethod
    def backward(ctx: Any, *multipliers: torch.Tensor) -> tuple[torch.Tensor, None]:
        return ctx.activation.rescale(multipliers[0], ctx.saved_tensors), None


class _RescaledReLU(_Rescaled):
    def activate(self, values: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        return functional.relu(values), (values,)

    def rescale(self, multiplier: torch.Tensor, image: Sequence[torch.Tensor]) -> torch.Tensor:
        (values,), (baseline,) = image, self.baseline
        # With h the higher one's positive part, the ratio is h / max(|x - x'|, h): 1 where both are positive, 0 where
        # neither is. In place, because new tensors take longer than the arithmetic.
        higher = torch.maximum(values, baseline).relu_()
        span = torch.sub(values, baseline).abs_()
        return higher.div_(torch.maximum(span, higher, out=span).clamp_min_(_TINY)).mul_(multiplier)


class _RescaledMaxPool(_Rescaled):
    """A window's difference goes to where the higher maximum of the two lies, in the image or in the baseline.

    There the inputs differ at least as much as the maxima do. Overlapping windows add up.
    """

    def __init__(self, pool: nn.MaxPool2d) -> None:
        super().__init__()
        self.settings = (pool.kernel_size, pool.stride, pool.padding, pool.dilation, pool.ceil_mode)

    def activate(self, values: torch.Tensor) -> tuple[torch.Tensor, Sequence[torch.Tensor]]:
        maxima, places = functional.max_pool2d(values, *self.settings, return_indices=True)
        return maxima, (values, maxima, places)

    def rescale(self, multiplier: torch.Tensor, image: Sequence[torch.Tensor]) -> torch.Tensor:
        (values, maxima, places), (baseline, baseline_maxima, baseline_places) = image, self.baseline
        higher = torch.maximum(maxima, baseline_maxima)
        contributions = self._unpool(multiplier * (higher - baseline_maxima), values, places)
        contributions += self._unpool(multiplier * (maxima - higher), values, baseline_places.expand_as(places))
        difference = values - baseline
        return contributions.div_(difference.masked_fill_(difference == 0, 1))

    def _unpool(self, differences: torch.Tensor, values: torch.Tensor, places: torch.Tensor) -> torch.Tensor:
        # The pooling's own backward pass: a scatter that adds up, and a fifth of the whole faster than scatter_add_.
        unpooled: torch.Tensor = torch.ops.aten.max_pool2d_with_indices_backward(
            differences, values, *self.settings, places
        )
        return unpooled
