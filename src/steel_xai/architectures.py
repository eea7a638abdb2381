"""The project's own networks: ``features``, then a ``classifier`` that ends in a linear layer of class logits.

Every ReLU and pooling is a module of its own, used once: attribution methods hook modules, and a functional or shared
one would give silently wrong relevances.
"""

from collections import OrderedDict

from torch import nn
from torchvision.models import densenet121 as torchvision_densenet121
from torchvision.models import squeezenet1_1
from torchvision.models.vgg import cfgs, make_layers

from steel_xai.errors import InputError

_CNN_STAGES = 4
_CNN_CHANNELS = 32


def ad_hoc_cnn(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    """The study's small network: four times a 3x3 convolution without padding, ReLU, 2x2 max pooling, then a head.

    Its head is fitted to the size of the images: 64x400 pixels leave 32 channels of 2x23, 1472 values.

    Raises:
        InputError: Nothing is left of the images after the poolings.
    """
    layers: list[nn.Module] = []
    height, width = image_size
    for stage in range(_CNN_STAGES):
        layers += [nn.Conv2d(_CNN_CHANNELS if stage else 3, _CNN_CHANNELS, 3), nn.ReLU(), nn.MaxPool2d(2)]
        height, width = (height - 2) // 2, (width - 2) // 2
    if min(height, width) < 1:
        raise InputError(
            f"training.architecture: ad_hoc_cnn cannot take images of {image_size[0]}x{image_size[1]} pixels, because "
            "its poolings leave nothing of sides below 46; choose another, or a larger tensor_size (with "
            "training.patches their size)"
        )
    classifier = nn.Sequential(nn.Flatten(), *_study_head(_CNN_CHANNELS * height * width, n_classes, dropout))
    return _network(nn.Sequential(*layers), classifier)


def vgg16_bn(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    """VGG16 with batch normalisation (Simonyan & Zisserman 2015) and the study's narrow head, 25088 -> 256 -> 32 -> K.

    Only the features share the published weights.
    """
    head = _study_head(512 * 7 * 7, n_classes, dropout)
    return _network(
        make_layers(cfgs["D"], batch_norm=True), nn.Sequential(nn.AdaptiveAvgPool2d((7, 7)), nn.Flatten(), *head)
    )


def squeezenet(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    """SqueezeNet 1.1 (Iandola et al. 2016) with a linear layer after its published 1x1 convolution to 1000 channels."""
    classifier = _squeezenet_head(512, n_classes, dropout)
    return _network(squeezenet1_1(weights=None).features, classifier)


def reduced_squeezenet(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    """SqueezeNet 1.1 without its last three Fire modules: 384 channels at 1/16 of the image's size.

    The published 1x1 convolution reads 512 channels, so that the head's is random here.
    """
    classifier = _squeezenet_head(384, n_classes, dropout)
    return _network(squeezenet1_1(weights=None).features[:10], classifier)


def densenet121(n_classes: int, dropout: float, image_size: tuple[int, int]) -> nn.Module:
    """DenseNet121 (Huang et al. 2017), whose last ReLU, a function in torchvision, is a module of the features here."""
    features = torchvision_densenet121(weights=None).features
    features.add_module("relu5", nn.ReLU())
    classifier = nn.Sequential(
        nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.Dropout(dropout), nn.Linear(1024, n_classes)
    )
    return _network(features, classifier)


def _network(features: nn.Module, classifier: nn.Module) -> nn.Module:
    return nn.Sequential(OrderedDict(features=features, classifier=classifier))


def _study_head(n_inputs: int, n_classes: int, dropout: float) -> list[nn.Module]:
    return [
        nn.Linear(n_inputs, 256),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(256, 32),
        nn.ReLU(),
        nn.Dropout(dropout),
        nn.Linear(32, n_classes),
    ]


def _squeezenet_head(n_channels: int, n_classes: int, dropout: float) -> nn.Module:
    """No ReLU follows the linear layer: it would cut logits off at zero, as the published head's does."""
    return nn.Sequential(
        nn.Dropout(dropout),
        nn.Conv2d(n_channels, 1000, kernel_size=1),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
        nn.Linear(1000, n_classes),
    )
