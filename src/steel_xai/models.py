"""Networks by name, for any number of classes and size of images, and their parts: features and head.

All take normalised three-channel images [B, 3, h, w] and give class logits [B, K].
"""

from collections import OrderedDict
from collections.abc import Callable
from typing import Any

import torch
import torchvision
from torch import nn

from steel_xai.architectures import ad_hoc_cnn, densenet121, reduced_squeezenet, squeezenet, vgg16_bn
from steel_xai.errors import InputError

Builder = Callable[[int, float, tuple[int, int]], nn.Module]
"""From number of classes, dropout rate and images' height and width to a network with ``features``, ``classifier``."""

ARCHITECTURES: dict[str, Builder] = {
    "ad_hoc_cnn": ad_hoc_cnn,
    "densenet121": densenet121,
    "reduced_squeezenet": reduced_squeezenet,
    "squeezenet": squeezenet,
    "vgg16_bn": vgg16_bn,
}
"""The project's own; every other name is a classifier of torchvision."""

# One output instead of three; the published weights expect images normalised in another way, and the networks convert
# them; and unless they are told to initialise their weights, they warn.
_INCEPTION: dict[str, Any] = {"aux_logits": False, "transform_input": True, "init_weights": True}
_TORCHVISION_ARGUMENTS = {"googlenet": _INCEPTION, "inception_v3": _INCEPTION}

_NORMALISATIONS = (nn.modules.batchnorm._BatchNorm, nn.GroupNorm, nn.LayerNorm)


def build_network(
    architecture: str, n_classes: int, *, batch_norm: bool, dropout: float, image_size: tuple[int, int]
) -> nn.Module:
    """Build a randomly initialised network: normalised images [B, 3, h, w] to logits [B, n_classes].

    No activation works in place, because attribution methods keep what goes into it.

    Args:
        architecture: A name in ``ARCHITECTURES``, or that of a classifier of torchvision.
        n_classes: Number of logits.
        batch_norm: Put a batch normalisation after each convolution of a network that has no normalisation. Published
            weights do not fit then; without it SqueezeNet does not learn from random weights.
        dropout: Rate of the dropouts that the network has, 0..1; those that torchvision leaves at 0 stay off, and some
            of its networks, such as ResNets, have none.
        image_size: Height and width of the images in pixels.

    Raises:
        InputError: The architecture is unknown, cannot take images of that size, or has a normalisation already.
    """
    if architecture in ARCHITECTURES:
        network = ARCHITECTURES[architecture](n_classes, dropout, image_size)
        initialise(network)
    else:
        network = _torchvision_network(architecture, n_classes, dropout)
    for module in network.modules():
        if hasattr(module, "inplace"):
            # PyTorch's stubs take every attribute of a module for a tensor.
            module.inplace = False  # type: ignore[assignment]
    if batch_norm:
        if has_normalisation(network):
            raise InputError(
                f"training.batch_norm: true is for networks without normalisation; {architecture} has its own; "
                "set training.batch_norm: auto"
            )
        add_batch_norm(network)
    _check_image_size(network, architecture, image_size)
    return network


def initialise(network: nn.Module) -> None:
    """Draw the weights anew, in place: He et al. 2015 for layers before a ReLU, N(0, 0.01^2) for the logits."""
    weighted = [module for module in network.modules() if isinstance(module, nn.Conv2d | nn.Linear)]
    for layer in weighted:
        if layer is weighted[-1]:
            nn.init.normal_(layer.weight, std=0.01)
        else:
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


def has_normalisation(network: nn.Module) -> bool:
    """Tell whether any layer normalises activations over the batch, a group of channels or all of them."""
    return any(isinstance(module, _NORMALISATIONS) for module in network.modules())


def add_batch_norm(network: nn.Module) -> None:
    """Put a batch normalisation (Ioffe & Szegedy 2015) after each convolution, in place."""
    for name, child in list(network.named_children()):
        if isinstance(child, nn.Conv2d):
            # The normalisation subtracts the mean, so that the convolution's own bias would have no effect.
            child.register_parameter("bias", None)
            norm = nn.BatchNorm2d(child.out_channels)
            setattr(network, name, nn.Sequential(OrderedDict(convolution=child, norm=norm)))
        else:
            add_batch_norm(child)


def head_name(network: nn.Module) -> str:
    """Name the part that makes logits of features: the last top-level child that has parameters."""
    return [name for name, child in network.named_children() if any(True for _ in child.parameters())][-1]


def head(network: nn.Module) -> nn.Module:
    """Return the part that makes logits of features (``classifier``, ``fc``, ``head``, ``heads``)."""
    return network.get_submodule(head_name(network))


def freeze_features(network: nn.Module) -> None:
    """Let nothing but the head be trained, in place; train with ``train_mode``, which keeps statistics as well."""
    network.requires_grad_(False)
    head(network).requires_grad_(True)


def train_mode(network: nn.Module) -> None:
    """Put the network in training mode, but its frozen parts in evaluation mode.

    Otherwise the statistics of frozen batch normalisations would drift, and dropout would disturb fixed features.
    """
    network.train()
    for child in network.children():
        parameters = list(child.parameters())
        if parameters and not any(parameter.requires_grad for parameter in parameters):
            child.eval()


def _torchvision_network(architecture: str, n_classes: int, dropout: float) -> nn.Module:
    if architecture not in torchvision.models.list_models(module=torchvision.models):
        raise InputError(
            f"training.architecture: '{architecture}' is neither one of {', '.join(ARCHITECTURES)} nor a classifier "
            f"of torchvision {torchvision.__version__}"
        )
    arguments = _TORCHVISION_ARGUMENTS.get(architecture, {})
    network: nn.Module = torchvision.models.get_model(architecture, weights=None, num_classes=n_classes, **arguments)
    if isinstance(network, torchvision.models.SqueezeNet):
        # Its last ReLU would cut logits off at zero.
        network.classifier[2] = nn.Identity()
    for module in network.modules():
        if isinstance(module, nn.Dropout) and module.p > 0:
            module.p = dropout
    return network


def _check_image_size(network: nn.Module, architecture: str, image_size: tuple[int, int]) -> None:
    """Try a forward pass of shapes alone: on the meta device, where nothing is computed, stored or drawn."""
    tensors = {
        name: tensor.detach().to("meta") for name, tensor in (*network.named_parameters(), *network.named_buffers())
    }
    image = torch.zeros(1, 3, *image_size, device="meta")
    network.eval()
    try:
        torch.func.functional_call(network, tensors, (image,))
    except (RuntimeError, ValueError, AssertionError) as error:
        raise InputError(
            f"training.architecture: {architecture} cannot take images of {image_size[0]}x{image_size[1]} pixels: "
            f"{str(error).rstrip('.!')}; choose another, or another tensor_size (with training.patches their size)"
        ) from error
    finally:
        network.train()
