import pytest
from pydantic import ValidationError

from steel_xai.parameters.segmentation import FCN_ENCODERS, SegmentationNetworkParameters
from steel_xai.segmentation.networks import build_segmentation_network


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [("fcn32", "auto"), ("fcn32", "vgg11"), ("unet", "auto"), ("unet", "efficientnet-b2"), ("unet", "densenet121")],
)
def test_encoders_that_fit_are_accepted(architecture, encoder):
    assert (
        SegmentationNetworkParameters(architecture=architecture, encoder=encoder, loss="soft_dice").encoder == encoder
    )


@pytest.mark.parametrize(("architecture", "encoder"), [("fcn32", "efficientnet-b2"), ("unet", "eficientnet-b2")])
def test_encoder_that_does_not_fit_is_named(architecture, encoder):
    with pytest.raises(ValidationError, match=f"'{encoder}' is no encoder of {architecture}"):
        SegmentationNetworkParameters(architecture=architecture, encoder=encoder, loss="soft_dice")


@pytest.mark.parametrize("encoder", FCN_ENCODERS)
def test_encoders_of_an_fcn_are_those_that_can_be_built(encoder):
    assert build_segmentation_network("fcn32", encoder, 2, batch_norm=False)
