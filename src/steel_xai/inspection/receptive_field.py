"""Receptive fields: which pixels of an image a cell of a layer's output can see (Araujo et al. 2019)."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import nn

from steel_xai.inspection.modules import recorded

LIMIT = 2048
"""Pixels beyond which fields are not followed; those of layers that see the whole image have this size."""

_NORMALISATIONS = (nn.modules.batchnorm._NormBase, nn.GroupNorm, nn.LayerNorm, nn.LocalResponseNorm)


@dataclass(frozen=True)
class ReceptiveField:
    """The theoretical receptive field of a layer's cells, each a pair of height and width in pixels.

    Attributes:
        size: Sides of the field.
        stride: From one cell's field to the next one's.
        offset: The first pixel of the first cell's field; negative where padding is seen.
    """

    size: tuple[int, int]
    stride: tuple[int, int]
    offset: tuple[int, int]

    def window(self, cell: tuple[int, int], image_size: tuple[int, int]) -> tuple[slice, slice]:
        """Return the rows and columns that a cell (row, column) of the output sees of an image (height, width)."""
        bounds = []
        for axis in range(2):
            first = self.offset[axis] + cell[axis] * self.stride[axis]
            bounds.append(slice(max(0, first), min(image_size[axis], first + self.size[axis])))
        return bounds[0], bounds[1]


def receptive_fields(network: nn.Module, layers: Sequence[str], side: int) -> dict[str, ReceptiveField]:
    """Measure the theoretical receptive fields of layers, whatever the network's branches.

    Each axis is measured by the gradient of a cell in the middle of a long strip, in a private copy of the network in
    which no gradient can vanish or cancel: weights are positive, maxima are means, and nothing is normalised. A field
    that reaches the strip's ends is measured again in a longer one, up to ``LIMIT``. Adaptive poolings, whose fields
    grow with the image, belong to heads and are measured at the strip's length.

    Args:
        network: Any network of images [B, 3, h, w].
        layers: Names of modules whose outputs are [B, C, h, w].
        side: Width in pixels of the strips, one that the network can take.
    """
    spreading = _spreading(network)
    axes = [_measure(spreading, layers, side, axis) for axis in range(2)]
    return {
        layer: ReceptiveField(*((rows, columns) for rows, columns in zip(axes[0][layer], axes[1][layer], strict=True)))
        for layer in layers
    }


def _measure(network: nn.Module, layers: Sequence[str], side: int, axis: int) -> dict[str, tuple[int, int, int]]:
    """Return size, stride and offset along an axis (0 height, 1 width) by layer."""
    found: dict[str, tuple[int, int, int]] = {}
    missing, length = list(layers), 2 * side
    while missing:
        length = min(2 * length, LIMIT)
        strip = torch.ones(1, 3, *((length, side) if axis == 0 else (side, length)), requires_grad=True)
        with recorded(network, missing, lambda output: output) as outputs:
            network(strip)
        for layer in missing:
            cells = outputs[layer].sum(dim=(0, 1, 3 - axis))
            middle = (len(cells) - 1) // 2
            first, last = _seen(cells[middle], strip, axis)
            following, end = _seen(cells[min(middle + 1, len(cells) - 1)], strip, axis)
            if length == LIMIT or (first > 0 and end < length - 1):
                # Cells that see even the longest strip whole have fields that do not move.
                stride = (following - first) or max(1, round(length / len(cells)))
                found[layer] = (last - first + 1, stride, first - middle * stride)
        missing = [layer for layer in missing if layer not in found]
    return found


def _seen(cell: torch.Tensor, strip: torch.Tensor, axis: int) -> tuple[int, int]:
    """Return the first and last pixel along the axis that a cell depends on."""
    (gradient,) = torch.autograd.grad(cell, strip, retain_graph=True)
    pixels = torch.nonzero(gradient.sum(dim=(0, 1, 3 - axis))).flatten()
    return int(pixels[0]), int(pixels[-1])


def _spreading(network: nn.Module) -> nn.Module:
    """Copy the network so that a gradient reaches every pixel that a cell can see."""
    spreading = copy.deepcopy(network).eval().cpu().requires_grad_(False)
    for parent in list(spreading.modules()):
        for name, child in list(parent.named_children()):
            if isinstance(child, _NORMALISATIONS):
                setattr(parent, name, nn.Identity())
            elif isinstance(child, nn.MaxPool2d):
                setattr(parent, name, nn.AvgPool2d(child.kernel_size, child.stride, child.padding, child.ceil_mode))
            elif isinstance(child, nn.Conv2d):
                # The mean of what it sees: values stay near 1 however deep the network is.
                child.weight.fill_(1 / child.weight[0].numel())
                if child.bias is not None:
                    child.bias.zero_()
    return spreading
