"""Networks with random weights in place of the trained ones: what an explanation owes to training alone.

Adebayo et al. 2018, "Sanity checks for saliency maps": a map that stays the same when weights become random does not
explain the model.
"""

import copy
from collections.abc import Iterator

import torch
from torch import nn

from steel_xai.models import head_name, initialise
from steel_xai.patches import SheetFromWindows


def randomised(network: nn.Module, seed: int) -> nn.Module:
    """Copy a network with fresh weights, drawn as before a training; batch normalisations forget their statistics.

    The weights depend on the seed alone, not on the device; the global random state stays as it is.
    """
    device = next(network.parameters()).device
    # In the standard layout, because numbers are drawn in the order of memory.
    fresh = copy.deepcopy(network).cpu().to(memory_format=torch.contiguous_format)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        for module in fresh.modules():
            reset = getattr(module, "reset_parameters", None)
            if callable(reset):
                reset()
        initialise(fresh)
    return fresh.to(device)


def cascade(network: nn.Module, seed: int) -> Iterator[tuple[str, nn.Module]]:
    """Randomise a network part by part from the logits down, each copy in addition to what the one before has.

    Parts are the head as a whole, then the parts with weights of the feature extractor, the last first.

    Yields:
        Name of the part that is random now as well, and the network; the last equals ``randomised(network, seed)``.
    """
    weights = randomised(network, seed).state_dict()
    names = _parts(network)
    for count, name in enumerate(names, start=1):
        done = tuple(f"{part}." for part in names[:count])
        partly = copy.deepcopy(network)
        random = {key: value for key, value in weights.items() if key.startswith(done)}
        partly.load_state_dict({**network.state_dict(), **random})
        yield name, partly


def _parts(network: nn.Module, prefix: str = "") -> list[str]:
    """Name the parts that have weights, from the logits down."""
    if isinstance(network, SheetFromWindows):
        return _parts(network.windows, "windows.")
    head = head_name(network)
    names: list[str] = []
    for name, child in network.named_children():
        inner = [] if name == head else [f"{name}.{part}" for part, block in child.named_children() if _weighted(block)]
        names += inner or ([name] if _weighted(child) else [])
    # The head comes last among the children that have weights.
    return [f"{prefix}{name}" for name in reversed(names)]


def _weighted(module: nn.Module) -> bool:
    return any(True for _ in module.state_dict())
