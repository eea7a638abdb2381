"""Parameters of the segmentation networks."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from steel_xai.parameters.base import Section
from steel_xai.parameters.model import LoopParameters

FCN_ENCODERS = ("vgg11", "vgg11_small")
UNET_ENCODERS = ("efficientnet-b2", "resnet18", "vgg11_small")
"""Those that are known to fit; of a U-Net every other encoder of segmentation-models-pytorch does as well."""


def check_encoder(architecture: Literal["fcn32", "unet"], encoder: str) -> None:
    """Refuse all but listed encoders: timm would look for others in folders, or download them.

    Raises:
        ValueError: The encoder is none of this architecture.
    """
    known = FCN_ENCODERS if architecture == "fcn32" else UNET_ENCODERS
    if encoder in known:
        return
    if architecture == "unet":
        # Only asked for names that are not known, so that commands start without the library.
        from segmentation_models_pytorch.encoders import get_encoder_names

        if encoder in get_encoder_names():
            return
    more = " or another encoder of segmentation-models-pytorch" if architecture == "unet" else ""
    raise ValueError(f"'{encoder}' is no encoder of {architecture}; there are {', '.join(known)}{more}")


class SegmentationNetworkParameters(Section):
    """One network.

    ``encoder: auto`` is the study's with a GPU (VGG11, EfficientNet-B2) and a small one without.
    """

    architecture: Literal["fcn32", "unet"]
    encoder: str
    loss: Literal["cross_entropy", "soft_dice", "cross_entropy_and_dice"]

    @model_validator(mode="after")
    def _encoder_is_known(self) -> Self:
        if self.encoder != "auto":
            check_encoder(self.architecture, self.encoder)
        return self


class SegmentationNetworks(Section):
    """The networks that are compared; the two FCNs tell what the loss does."""

    fcn32_cross_entropy: SegmentationNetworkParameters
    fcn32_soft_dice: SegmentationNetworkParameters
    unet: SegmentationNetworkParameters


class SegmentationParameters(Section):
    """Networks that label every pixel, how they are trained and what is measured.

    ``dice_smoothing`` is added above and below the fraction line of the smooth Dice loss. ``minimum_areas`` are sizes
    in tensor pixels, from which each class gets the one that is best on validation sheets: components below it are
    dropped. ``figure_sheets`` are drawn of the best, of the median and of the worst sheets by Dice.
    """

    networks: SegmentationNetworks
    training: LoopParameters
    dice_smoothing: Annotated[float, Field(gt=0)]
    minimum_areas: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    batch_size: Annotated[int, Field(gt=0)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    timing_repeats: Annotated[int, Field(gt=0)]
    figure_sheets: Annotated[int, Field(ge=1)]
