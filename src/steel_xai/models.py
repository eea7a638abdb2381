"""The project's networks. All take normalised three-channel images and end in a linear layer of class logits.

Every ReLU and pooling is a module of its own that works out of place, used once: attribution methods hook
modules, and a functional, shared or in-place one would give silently wrong relevances.
"""

from collections import OrderedDict
from collections.abc import Callable

from torch import nn
from torchvision.models import squeezenet1_1

from steel_xai.errors import InputError

Builder = Callable[[int, float], nn.Module]
"""From the number of classes and the dropout rate to a network with the parts ``features`` and ``classifier``."""


def build_network(architecture: str, n_classes: int, *, batch_norm: bool, dropout: float) -> nn.Module:
    """Build a randomly initialised network: normalised images [B, 3, h, w] to logits [B, n_classes].

    Args:
        architecture: A name in ``ARCHITECTURES``.
        n_classes: Number of logits.
        batch_norm: Put a batch normalisation after each convolution. The published SqueezeNet has none, so that its
            weights do not fit then; without it the network does not learn from random weights.
        dropout: Rate of the head's dropout, 0..1.

    Raises:
        InputError: If the architecture is unknown.
    """
    if architecture not in ARCHITECTURES:
        raise InputError(f"training.architecture: {architecture!r} is unknown; choose one of {sorted(ARCHITECTURES)}")
    network = ARCHITECTURES[architecture](n_classes, dropout)
    for module in network.modules():
        if isinstance(module, nn.ReLU):
            module.inplace = False
    if batch_norm:
        _add_batch_norm(network)
    initialise(network)
    return network


def initialise(network: nn.Module) -> None:
    """Draw the weights anew, in place: convolutions after He et al. 2015, linear layers from N(0, 0.01^2)."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=0.01)
        if isinstance(module, nn.Conv2d | nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)


def reduced_squeezenet(n_classes: int, dropout: float) -> nn.Module:
    """SqueezeNet 1.1 without its last three Fire modules: 384 channels at 1/16 of the image's size.

    The head keeps the published 1x1 convolution to 1000 channels and adds a linear layer without a ReLU after it,
    which would cut logits off at zero.
    """
    classifier = nn.Sequential(
        nn.Dropout(dropout),
        nn.Conv2d(384, 1000, kernel_size=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(1000, n_classes),
    )
    return nn.Sequential(OrderedDict(features=squeezenet1_1(weights=None).features[:10], classifier=classifier))


ARCHITECTURES: dict[str, Builder] = {"reduced_squeezenet": reduced_squeezenet}


def _add_batch_norm(module: nn.Module) -> None:
    for name, child in list(module.named_children()):
        if isinstance(child, nn.Conv2d):
            # The normalisation subtracts the mean, so that the convolution's own bias would have no effect.
            child.register_parameter("bias", None)
            norm = nn.BatchNorm2d(child.out_channels)
            setattr(module, name, nn.Sequential(OrderedDict(convolution=child, norm=norm)))
        else:
            _add_batch_norm(child)
