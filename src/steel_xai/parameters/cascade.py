"""Parameters of the cascade."""

from typing import Annotated

from pydantic import Field

from steel_xai.parameters.base import Section
from steel_xai.parameters.model import LoopParameters
from steel_xai.parameters.segmentation import SegmentationNetworkParameters


class CascadeParameters(Section):
    """The cascade's U-Nets, one a class, and how the thresholds of its steps are chosen.

    ``negatives_per_positive`` sheets without the class are drawn for each sheet with it. ``dice_smoothing`` is that of
    the smooth Dice loss. ``thresholds`` of probabilities and ``minimum_areas`` in tensor pixels are what is chosen
    among on validation sheets. ``figure_sheets`` are drawn of each kind.
    """

    network: SegmentationNetworkParameters
    training: LoopParameters
    dice_smoothing: Annotated[float, Field(gt=0)]
    negatives_per_positive: Annotated[float, Field(ge=0)]
    thresholds: Annotated[list[Annotated[float, Field(gt=0, lt=1)]], Field(min_length=1)]
    minimum_areas: Annotated[list[Annotated[int, Field(ge=0)]], Field(min_length=1)]
    batch_size: Annotated[int, Field(gt=0)]
    bootstrap_samples: Annotated[int, Field(ge=100)]
    timing_repeats: Annotated[int, Field(gt=0)]
    figure_sheets: Annotated[int, Field(ge=1)]
