"""Activation maximisation: images that excite single filters most (Erhan et al. 2009), plain and multi-scale.

The multi-scale kind is the study's: it starts small, and every so many steps enlarges the image and blurs it, which
takes high-frequency noise out and lets structures of several sizes grow.
"""

import copy
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal, NoReturn

import numpy as np
import torch
from torch import nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from steel_xai.batches import normalise
from steel_xai.device import place

Objective = Literal["mean", "peak"]
"""What is maximised of a filter's map: its mean over the positions, or its greatest value."""

_STARTS = 16
_GREY, _GREY_DEVIATION, _CONTRAST = 0.5, 0.1, 0.15
"""Mean and standard deviation of the starts' greys, and the standard deviation of the pixels of each."""


class _Reached(Exception):
    """Ends a forward pass at the layer that is looked at."""


def frozen_copy(network: nn.Module, layers: Sequence[str]) -> nn.Module:
    """Copy a network for many passes in evaluation mode, with batch normalisations taken into convolutions.

    The outputs of the named layers stay the same, those of a convolution before a normalisation included.
    """
    frozen = copy.deepcopy(network).eval().requires_grad_(False)
    looked_at = [frozen.get_submodule(layer) for layer in layers]
    for part in [module for module in frozen.modules() if isinstance(module, nn.Sequential)]:
        for (name, child), (next_name, following) in pairwise(list(part.named_children())):
            if (
                isinstance(child, nn.Conv2d)
                and isinstance(following, nn.BatchNorm2d)
                and not any(child is module or following is module for module in looked_at)
            ):
                setattr(part, name, fuse_conv_bn_eval(child, following))
                setattr(part, next_name, nn.Identity())
    return place(frozen.requires_grad_(False), next(frozen.parameters()).device)


def layer_output(network: nn.Module, layer: str, images: torch.Tensor) -> torch.Tensor:
    """Compute a layer's output for normalised images, and nothing behind the layer."""
    outputs: list[torch.Tensor] = []

    def stop(_: nn.Module, __: object, output: torch.Tensor) -> NoReturn:
        outputs.append(output)
        raise _Reached

    handle = network.get_submodule(layer).register_forward_hook(stop)
    try:
        network(images)
    except _Reached:
        pass
    finally:
        handle.remove()
    return outputs[0]


def enlarged_sizes(start: int, factor: float, n_scales: int) -> list[int]:
    """List the sides of the images of all scales, each ``factor`` times the one before, in whole pixels."""
    return [round(start * factor**scale) for scale in range(n_scales)]


def maximise_activation(
    network: nn.Module,
    layer: str,
    filters: Sequence[int],
    *,
    sizes: Sequence[int],
    steps: int,
    learning_rate: float,
    blur: tuple[int, int] = (3, 10),
    jitter: int = 0,
    total_variation: float = 0.0,
    objective: Objective = "mean",
    n_channels: int = 1,
    seed: int,
) -> torch.Tensor:
    """Find, for each of several filters of a layer at once, an image that excites it most, by gradient ascent.

    Each image starts as smooth noise: of 16 drawn, the one that excites its filter most, because a filter behind a
    ReLU that is silent has no gradient. Steps are Adam's (Kingma & Ba 2015); pixels are clipped to 0..1 after each. A
    filter's image does not depend on the other filters, nor is the network changed.

    Args:
        network: Takes normalised images [B, 3, h, w].
        layer: Name of a module whose output is [B, C, h, w].
        filters: Channels of the output.
        sizes: Sides of the square images in pixels, scale after scale; a single one is plain ascent.
        steps: Of each scale.
        learning_rate: Of Adam, about the largest change of a pixel in one step, as a share of the range of greys.
        blur: Width in pixels of the Gaussian kernels after the first and the last enlargement; evenly spaced between,
            and always odd, the next smaller one of an even width.
        jitter: Each step sees the image shifted by up to that many pixels along both axes.
        total_variation: Weight of the mean absolute difference of neighbouring pixels, which is subtracted from the
            objective; 0 for no penalty.
        objective: What is maximised of the filter's map.
        n_channels: 1 for grey images, which the network sees as three equal channels, or 3.
        seed: Of starts and shifts.

    Returns:
        float32 [n, n_channels, s, s], values 0..1, of the last of the sizes.
    """
    frozen = frozen_copy(network, [layer])
    device = next(frozen.parameters()).device
    chosen = torch.as_tensor(np.asarray(filters), device=device)
    rng = np.random.default_rng(seed)
    images = _best_starts(frozen, layer, chosen, _smooth_noise(rng, sizes[0], n_channels).to(device), objective)
    for scale, size in enumerate(sizes):
        if scale:
            images = _enlarged(images, size, _kernel_width(blur, scale, len(sizes)))
        images.requires_grad_(True)
        optimiser = torch.optim.Adam([images], lr=learning_rate, maximize=True)
        for _ in range(steps):
            seen = images
            if jitter:
                shift = rng.integers(-jitter, jitter + 1, 2).tolist()
                seen = torch.roll(images, shift, dims=(2, 3))
            means, peaks = filter_activations(frozen, layer, chosen, seen)
            # Sums keep each image's gradient its own.
            goal = (means if objective == "mean" else peaks).sum()
            if total_variation:
                goal = goal - total_variation * _total_variation(images).sum()
            (images.grad,) = torch.autograd.grad(goal, images)
            optimiser.step()
            with torch.no_grad():
                images.clamp_(0, 1)
        images = images.detach()
    return images


def filter_activations(
    network: nn.Module, layer: str, filters: torch.Tensor, images: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Compute mean and peak of each image's own filter over the positions, [n] each; pixels [n, 1 or 3, h, w], 0..1."""
    output = layer_output(network, layer, normalise(255 * images))
    maps = output[torch.arange(len(filters), device=filters.device), filters].flatten(1)
    return maps.mean(dim=1), maps.amax(dim=1)


def _best_starts(
    network: nn.Module, layer: str, filters: torch.Tensor, starts: torch.Tensor, objective: Objective
) -> torch.Tensor:
    """Take for each filter the start that excites it most."""
    with torch.no_grad():
        maps = layer_output(network, layer, normalise(255 * starts))[:, filters].flatten(2)
    return starts[(maps.mean(dim=2) if objective == "mean" else maps.amax(dim=2)).argmax(dim=0)]


def _smooth_noise(rng: np.random.Generator, size: int, n_channels: int) -> torch.Tensor:
    """Draw starts whose amplitude falls with the frequency, as that of photographs does (Field 1987)."""
    frequency = np.hypot(np.fft.fftfreq(size)[:, None], np.fft.rfftfreq(size))
    frequency[0, 0] = np.inf
    spectrum = np.fft.rfft2(rng.standard_normal((_STARTS, n_channels, size, size))) / frequency
    noise = np.fft.irfft2(spectrum, s=(size, size))
    noise *= _CONTRAST / noise.std(axis=(1, 2, 3), keepdims=True)
    greys = rng.normal(_GREY, _GREY_DEVIATION, (_STARTS, 1, 1, 1))
    return torch.from_numpy(np.clip(greys + noise, 0, 1).astype(np.float32))


def _kernel_width(blur: tuple[int, int], scale: int, n_scales: int) -> int:
    """Choose the odd width of the blur after the enlargement to a scale, 1 .. n_scales - 1."""
    width = round(np.interp(scale, [1, max(n_scales - 1, 1)], blur)) if n_scales > 2 else blur[0]
    return width - (width + 1) % 2


def _enlarged(images: torch.Tensor, size: int, kernel_width: int) -> torch.Tensor:
    from torchvision.transforms.functional import gaussian_blur

    larger = nn.functional.interpolate(images, size=(size, size), mode="bilinear", antialias=False)
    return gaussian_blur(larger, [kernel_width, kernel_width])  # type: ignore[no-any-return]


def _total_variation(images: torch.Tensor) -> torch.Tensor:
    """Average the absolute differences of pixels next to and below each other (Rudin et al. 1992), [n]."""
    across = images.diff(dim=3).abs().mean(dim=(1, 2, 3))
    down = images.diff(dim=2).abs().mean(dim=(1, 2, 3))
    return across + down
