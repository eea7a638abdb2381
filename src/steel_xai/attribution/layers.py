"""The layers of a network whose feature maps class activation maps are made of."""

from dataclasses import dataclass

import torch
from torch import nn

from steel_xai.errors import InputError
from steel_xai.models import head_name
from steel_xai.patches import SheetFromWindows

FINE_STRIDE = 4
"""Largest stride of the finer layer.

On validation sheets of the sample, over five trained networks, LayerCAM finds defects with a pixel average precision of
0.35 to 0.54 at stride 4, of 0.25 to 0.40 at stride 8, and of 0.19 to 0.30 at the last layer, with 16. At stride 2, the
first convolution, it is higher by 0.01 to 0.08 still, but a network with random weights gains there as well.
"""

_POOLINGS = (nn.MaxPool2d, nn.AvgPool2d, nn.AdaptiveAvgPool2d, nn.AdaptiveMaxPool2d)
_PASS_ON = (nn.Dropout, nn.Dropout2d, nn.Identity)

_DEPTH = 2
"""How deep in the network a candidate lies at most: the parts of its parts."""

_LEAST_STRIDE = 1.5
"""Ratio of sides from which a layer has a stride; without padding alone, sides shrink by less."""


class NoStages(InputError):
    """A network has no stages, so that class activation maps of it cannot be made; ``reason`` says why."""

    def __init__(self, reason: str, remedy: str) -> None:
        """Args: why there are none, and what to do about it, both for the message."""
        super().__init__(f"{reason}; leave gradcam, guided_gradcam, hirescam and layercam out of the methods{remedy}")
        self.reason = reason


@dataclass(frozen=True)
class Stage:
    """The last layer of a network at one resolution, before it is pooled.

    Attributes:
        layer: Name of the module, for ``get_submodule``.
        stride: Image pixels from one cell to the next.
        shape: Channels, height and width of its output.
    """

    layer: str
    stride: int
    shape: tuple[int, int, int]


def find_stages(network: nn.Module, image: torch.Tensor) -> list[Stage]:
    """List the stages of a network's feature extractor, from fine to coarse, by one forward pass of one image.

    Candidates are the network's parts and their parts, but for poolings and the head: ``features.4``, ``layer2.1``.

    Args:
        network: In evaluation mode.
        image: [1, 3, H, W].

    Raises:
        NoStages: The network reads windows of a sheet, or no part of it keeps the image's layout.
    """
    if isinstance(network, SheetFromWindows):
        raise NoStages(
            "Class activation maps need a network of whole sheets, but this model was trained with training.patches",
            ", or train with training.patches: null",
        )
    head = head_name(network)
    stages: dict[int, Stage] = {}
    passed_on: list[tuple[torch.Tensor, int]] = []
    side = 2 if image.shape[2] > image.shape[3] else 3
    length, stride = image.shape[side], 1

    def hook(name: str, module: nn.Module, output: torch.Tensor) -> None:
        nonlocal length, stride
        if not _is_map(output, image) or output.shape[side] > length:
            return
        if length / output.shape[side] > _LEAST_STRIDE:
            stride *= round(length / output.shape[side])
        length = output.shape[side]
        if isinstance(module, _POOLINGS):
            passed_on.append((output, output._version))
        # A part hands on the output of its last part: the inner one is the layer, unless a function has changed the
        # output in place since then. A pooling is none.
        handed_on = any(output is other and output._version == version for other, version in passed_on)
        if isinstance(module, _PASS_ON) or name.count(".") >= _DEPTH or handed_on:
            return
        passed_on.append((output, output._version))
        stages[stride] = Stage(name, stride, (output.shape[1], output.shape[2], output.shape[3]))

    handles = [
        module.register_forward_hook(lambda module, _, output, name=name: hook(name, module, output))
        for name, module in network.named_modules()
        if name and name.split(".")[0] != head
    ]
    try:
        with torch.no_grad():
            network(image)
    finally:
        for handle in handles:
            handle.remove()
    if not stages:
        raise NoStages(
            f"Class activation maps need feature maps in the image's layout, and {type(network).__name__} has none",
            "",
        )
    return [stages[stride] for stride in sorted(stages)]


def choose_layer(network: nn.Module, stages: list[Stage], layer: str | None, *, max_stride: int | None = None) -> str:
    """Return the layer that is asked for, else that of the coarsest stage, or of the coarsest up to ``max_stride``.

    Raises:
        InputError: The network has no layer of that name.
    """
    if layer is None:
        fitting = [stage for stage in stages if max_stride is None or stage.stride <= max_stride]
        return (fitting or stages[:1])[-1].layer
    if layer not in dict(network.named_modules()):
        raise InputError(
            f"No layer '{layer}' in {type(network).__name__}; its stages are "
            + ", ".join(f"{stage.layer} (stride {stage.stride})" for stage in stages)
        )
    return layer


def _is_map(output: object, image: torch.Tensor) -> bool:
    """Tell whether an output is [B, C, h, w] with about the image's proportions, and not channels last or tokens."""
    if not isinstance(output, torch.Tensor) or output.ndim != 4:
        return False
    (height, width), (rows, columns) = image.shape[2:], output.shape[2:]
    return rows <= height and columns <= width and 0.5 <= (height / rows) / (width / columns) <= 2
