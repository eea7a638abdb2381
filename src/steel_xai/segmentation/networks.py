"""Segmentation networks by name: normalised images [B, 3, h, w] of any size to logits [B, M, h, w] of every pixel."""

from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import nn
from torchvision.models.vgg import cfgs, make_layers

from steel_xai.errors import InputError
from steel_xai.models import add_batch_norm, initialise

STRIDE = 32
"""Sides must be multiples of it within the networks: their coarsest cells are so many pixels wide."""

SMALL = "vgg11_small"

_SMALL_WIDTHS, _SMALL_DEPTHS = (16, 32, 64, 96, 128), (1, 2, 2, 2, 1)
"""Channels and number of convolutions of the small encoder's stages, each of half the size of the one before."""

_SMALL_DECODER = (48, 32, 24, 16)
"""Channels of the small U-Net's decoder, from coarse to fine."""


def build_segmentation_network(architecture: str, encoder: str, n_outputs: int, *, batch_norm: bool) -> nn.Module:
    """Build a network with random weights: normalised images [B, 3, h, w] to logits [B, n_outputs, h, w].

    Args:
        architecture: ``fcn32`` or ``unet``.
        encoder: Of an ``fcn32`` ``vgg11`` or ``vgg11_small``; of a ``unet`` ``vgg11_small`` or an encoder of
            segmentation-models-pytorch.
        n_outputs: Number of logits a pixel.
        batch_norm: Put a batch normalisation after each convolution of VGG11; all other encoders have their own.

    Raises:
        InputError: There is no such network.
    """
    network: nn.Module
    if architecture == "fcn32" and encoder in ("vgg11", SMALL):
        network = FCN32(_vgg11(batch_norm) if encoder == "vgg11" else SmallEncoder(), n_outputs)
    elif architecture == "unet":
        network = SmallUNet(n_outputs) if encoder == SMALL else _library_unet(encoder, n_outputs)
    else:
        raise InputError(f"segmentation network: there is no {architecture} with the encoder '{encoder}'")
    return AnySize(network)


class FCN32(nn.Module):
    """Long, Shelhamer & Darrell 2015: a score of every cell of 32x32 pixels, interpolated."""

    def __init__(self, features: nn.Sequential, n_outputs: int) -> None:
        super().__init__()
        self.features = features
        widths = [layer.out_channels for layer in features.modules() if isinstance(layer, nn.Conv2d)]
        self.score = nn.Conv2d(widths[-1], n_outputs, kernel_size=1)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, h, w], with sides that are multiples of 32, to [B, M, h, w]."""
        return _enlarge(self.score(self.features(images)), STRIDE)


class SmallEncoder(nn.Sequential):
    """VGG11 (Simonyan & Zisserman 2015) for a CPU: fewer channels, batch normalisation, and at once at half the size.

    Its eight convolutions are in five stages; the first one has stride 2 in place of a pooling.
    """

    def __init__(self) -> None:
        stages = []
        widths = (3, *_SMALL_WIDTHS)
        for stage, ((before, width), depth) in enumerate(zip(pairwise(widths), _SMALL_DEPTHS, strict=True)):
            layers: list[nn.Module] = [nn.MaxPool2d(2)] if stage else []
            for layer in range(depth):
                stride = 1 if stage else 2
                layers += [
                    nn.Conv2d(width if layer else before, width, 3, stride, padding=1, bias=False),
                    nn.BatchNorm2d(width),
                    nn.ReLU(),
                ]
            stages.append(nn.Sequential(*layers))
        super().__init__(*stages)


class SmallUNet(nn.Module):
    """A U-Net (Ronneberger et al. 2015) on the small encoder, with the decoder of segmentation-models-pytorch.

    It labels at half the size of the image, which is interpolated.
    """

    def __init__(self, n_outputs: int) -> None:
        super().__init__()
        from segmentation_models_pytorch.decoders.unet.decoder import UnetDecoder

        self.features = SmallEncoder()
        self.decoder = UnetDecoder((3, *_SMALL_WIDTHS), _SMALL_DECODER, n_blocks=len(_SMALL_DECODER))
        self.score = nn.Conv2d(_SMALL_DECODER[-1], n_outputs, kernel_size=3, padding=1)
        initialise(self)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, h, w], with sides that are multiples of 32, to [B, M, h, w]."""
        found = [images]
        for stage in self.features:
            found.append(stage(found[-1]))
        return _enlarge(self.score(self.decoder(found)), 2)


class AnySize(nn.Module):
    """A network whose images' sides must be multiples of 32, made to take any: edge pixels are repeated around them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Map [B, 3, h, w] to [B, M, h, w]."""
        height, width = images.shape[-2:]
        down, across = -height % STRIDE, -width % STRIDE
        top, left = down // 2, across // 2
        padded = F.pad(images, (left, across - left, top, down - top), mode="replicate")
        logits: torch.Tensor = self.network(padded)
        return logits[..., top : top + height, left : left + width]


def _vgg11(batch_norm: bool) -> nn.Sequential:
    features: nn.Sequential = make_layers(cfgs["A"], batch_norm=False)
    if batch_norm:
        add_batch_norm(features)
    return features


def _library_unet(encoder: str, n_outputs: int) -> nn.Module:
    import segmentation_models_pytorch as smp

    if encoder not in smp.encoders.get_encoder_names():  # the library would load others from anywhere
        raise InputError(f"segmentation network: '{encoder}' is no encoder of segmentation-models-pytorch")
    # without weights: those are loaded by rules of our own, see start.py
    network: nn.Module = smp.Unet(encoder, encoder_weights=None, classes=n_outputs)
    return network


def _enlarge(scores: torch.Tensor, factor: int) -> torch.Tensor:
    """Interpolate scores [B, M, h, w] linearly between the centres of their cells: [B, M, factor h, factor w].

    As a product of matrices, because torch's own interpolation sums gradients on CUDA in an order that changes.
    """
    down, across = (_interpolation(size, factor, scores) for size in scores.shape[-2:])
    enlarged: torch.Tensor = down @ scores.contiguous() @ across.T
    return enlarged


def _interpolation(n_cells: int, factor: int, like: torch.Tensor) -> torch.Tensor:
    unit = torch.eye(n_cells, device=like.device)
    matrix = F.interpolate(unit[None], scale_factor=factor, mode="linear", align_corners=False)[0]
    return matrix.T.to(like.dtype)
