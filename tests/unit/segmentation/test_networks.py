import pytest
import torch
import torch.nn.functional as F
from torch import nn

from steel_xai.epochs import build_optimizer
from steel_xai.errors import InputError
from steel_xai.segmentation.losses import SoftDice
from steel_xai.segmentation.networks import FCN32, AnySize, SmallEncoder, build_segmentation_network

SMALL = [("fcn32", "vgg11_small", False), ("fcn32", "vgg11", True), ("unet", "vgg11_small", False)]
OF_THE_STUDIES = [("fcn32", "vgg11", False), ("unet", "efficientnet-b2", False)]


@pytest.mark.parametrize(("architecture", "encoder", "batch_norm"), SMALL)
@pytest.mark.parametrize("size", [(64, 96), (33, 50), (32, 32)])
def test_every_pixel_gets_logits_whatever_the_size(architecture, encoder, batch_norm, size):
    network = build_segmentation_network(architecture, encoder, 3, batch_norm=batch_norm)
    assert network(torch.zeros(2, 3, *size)).shape == (2, 3, *size)


@pytest.mark.parametrize(("architecture", "encoder", "batch_norm"), OF_THE_STUDIES)
def test_networks_of_the_studies_take_a_training_step(architecture, encoder, batch_norm, parameters):
    torch.manual_seed(0)
    network = build_segmentation_network(architecture, encoder, 5, batch_norm=batch_norm)
    before = {name: weight.detach().clone() for name, weight in network.named_parameters()}
    optimizer = build_optimizer(network, parameters.training)
    targets = torch.randint(0, 5, (2, 33, 40))
    logits = network(torch.randn(2, 3, 33, 40))
    loss = SoftDice(1.0)(logits, targets)
    loss.backward()
    optimizer.step()
    assert logits.shape == (2, 5, 33, 40)
    changed = [name for name, weight in network.named_parameters() if not torch.equal(weight, before[name])]
    assert len(changed) > 0.9 * len(before)


def test_small_encoder_has_the_depth_of_vgg11_and_a_stage_for_each_halving():
    encoder, images = SmallEncoder(), torch.zeros(2, 3, 64, 96)
    sizes = []
    for stage in encoder:
        images = stage(images)
        sizes.append(tuple(images.shape[-2:]))
    assert sizes == [(32, 48), (16, 24), (8, 12), (4, 6), (2, 3)]
    vgg11 = build_segmentation_network("fcn32", "vgg11", 2, batch_norm=False).get_submodule("network.features")
    n_convolutions = [sum(isinstance(layer, nn.Conv2d) for layer in one.modules()) for one in (encoder, vgg11)]
    assert n_convolutions == [8, 8]


def test_a_unet_is_finer_than_an_fcn():
    """One changed pixel changes single logits of the one, whole cells of the other."""
    torch.manual_seed(0)
    images = torch.zeros(2, 3, 64, 64)
    images[1, :, 40, 40] = 5

    def rank_of_change(architecture):
        network = build_segmentation_network(architecture, "vgg11_small", 2, batch_norm=False).eval()
        with torch.inference_mode():
            logits = network(images)
        return torch.linalg.matrix_rank((logits[1] - logits[0])[0], rtol=1e-3)

    assert rank_of_change("fcn32") <= 2 < rank_of_change("unet")


def test_interpolation_of_an_fcn_is_bilinear():
    torch.manual_seed(0)
    network = FCN32(SmallEncoder(), 3)
    images = torch.randn(1, 3, 64, 96)
    expected = F.interpolate(network.score(network.features(images)), scale_factor=32, mode="bilinear")
    torch.testing.assert_close(network(images), expected)


def test_only_what_lies_around_the_image_is_padded():
    images = torch.randn(2, 3, 33, 50)
    seen = []

    class Spy(nn.Module):
        def forward(self, padded):
            seen.append(padded)
            return padded

    torch.testing.assert_close(AnySize(Spy())(images), images)
    (padded,) = seen
    assert padded.shape[-2:] == (64, 64)
    assert torch.equal(padded[0, 0, 0, 7:57], images[0, 0, 0])
    assert torch.equal(padded[0, 0, 15:48, -1], images[0, 0, :, -1])


@pytest.mark.parametrize(
    ("architecture", "encoder"),
    [
        ("fcn32", "resnet18"),
        ("unet", "os.system"),
        ("other", "vgg11"),
        ("unet", "tu-hf-hub:evil/repo"),
        ("unet", "tu-local-dir:/tmp"),
        ("unet", "tu-resnet18"),
    ],
)
def test_unknown_network_is_named(architecture, encoder):
    with pytest.raises(InputError, match=encoder):
        build_segmentation_network(architecture, encoder, 2, batch_norm=False)
