"""The modules of a network that are inspected one by one, and their outputs."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import nn

from steel_xai.errors import InputError
from steel_xai.models import head_name
from steel_xai.patches import SheetFromWindows

_PASS_ON = (nn.Dropout, nn.Dropout2d, nn.Identity, nn.Flatten)
"""Modules whose output in evaluation mode is their input."""

Area = Literal["features", "classifier"]


def list_modules(network: nn.Module) -> list[str]:
    """Name the modules of feature extractor and classifier from the input on: ``features.0`` .. ``classifier.5``.

    A part that is a plain sequence counts as its modules, any other as one. Those that only pass on what they get are
    left out.

    Raises:
        InputError: The network reads windows of a sheet, so that its modules see no sheets.
    """
    if isinstance(network, SheetFromWindows):
        raise InputError(
            "The inspection needs a network of whole sheets, but this model was trained with training.patches; train "
            "one with training.patches: null"
        )
    names = []
    for name, part in network.named_children():
        if isinstance(part, nn.Sequential):
            names += [f"{name}.{inner}" for inner, module in part.named_children() if not isinstance(module, _PASS_ON)]
        elif not isinstance(part, _PASS_ON):
            names.append(name)
    return names


def area_of(network: nn.Module, module: str) -> Area:
    """Tell whether a module belongs to the feature extractor or to the classifier."""
    return "classifier" if module.split(".")[0] == head_name(network) else "features"


@contextmanager
def recorded(
    network: nn.Module, modules: Sequence[str], reduce: Callable[[torch.Tensor], torch.Tensor]
) -> Iterator[dict[str, torch.Tensor]]:
    """Keep what the named modules put out in each forward pass, reduced at once, so that little memory is held.

    Yields:
        By module, ``reduce`` of its last output; filled by the next forward pass.
    """
    outputs: dict[str, torch.Tensor] = {}

    def hook(name: str, output: torch.Tensor) -> None:
        outputs[name] = reduce(output)

    handles = [
        network.get_submodule(name).register_forward_hook(lambda _, __, output, name=name: hook(name, output))
        for name in modules
    ]
    try:
        yield outputs
    finally:
        for handle in handles:
            handle.remove()
