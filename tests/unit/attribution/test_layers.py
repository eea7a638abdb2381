import pytest
import torch

from steel_xai.attribution.layers import choose_layer, find_stages
from steel_xai.attribution.rewiring import private_copy
from steel_xai.errors import InputError
from steel_xai.models import build_network
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows


def stages(architecture: str, *, batch_norm: bool = False, size: tuple[int, int] = (64, 96)):
    net = private_copy(build_network(architecture, 3, batch_norm=batch_norm, dropout=0.2, image_size=size))
    return net, find_stages(net, torch.zeros(1, 3, *size))


@pytest.mark.parametrize(
    ("architecture", "expected"),
    [
        ("ad_hoc_cnn", {1: "features.1", 2: "features.4", 4: "features.7", 8: "features.10"}),
        ("reduced_squeezenet", {2: "features.1", 4: "features.4", 8: "features.7", 16: "features.9"}),
        ("squeezenet", {2: "features.1", 4: "features.4", 8: "features.7", 16: "features.12"}),
        ("resnet18", {2: "relu", 4: "layer1.1", 8: "layer2.1", 16: "layer3.1", 32: "layer4.1"}),
    ],
)
@pytest.mark.parametrize("batch_norm", [False, True])
def test_stages_end_before_their_pooling(architecture, expected, batch_norm):
    _, found = stages(architecture, batch_norm=batch_norm and architecture != "resnet18")
    assert {stage.stride: stage.layer for stage in found} == expected


def test_the_heavy_architectures_have_stages_down_to_a_thirty_second():
    for architecture, last in (("vgg16_bn", "features.42"), ("densenet121", "features.relu5")):
        net, found = stages(architecture, size=(64, 64))
        assert choose_layer(net, found, None) == last


def test_a_block_that_ends_in_a_function_in_place_is_the_layer_and_not_what_it_changed():
    _, found = stages("googlenet", size=(64, 64))
    assert [stage.layer for stage in found] == ["conv1", "conv3", "inception3b", "inception4e", "inception5b"]


def test_shapes_and_choices():
    net, found = stages("reduced_squeezenet", size=(64, 400))
    assert [stage.shape for stage in found] == [(64, 31, 199), (128, 15, 99), (256, 7, 49), (384, 3, 24)]
    assert choose_layer(net, found, None) == "features.9"
    assert choose_layer(net, found, None, max_stride=8) == "features.7"
    assert choose_layer(net, found, None, max_stride=1) == "features.1"
    assert choose_layer(net, found, "features.3") == "features.3"


def test_an_unknown_layer_is_refused_with_the_names_there_are():
    net, found = stages("ad_hoc_cnn")
    with pytest.raises(InputError, match=r"No layer 'fetures\.4'.*features\.4 \(stride 2\)"):
        choose_layer(net, found, "fetures.4")


def test_a_network_of_windows_is_refused_in_words():
    patches = PatchParameters(count=2, size=(64, 64), black_level=12, max_black=0.5)
    net = build_network("ad_hoc_cnn", 3, batch_norm=False, dropout=0.2, image_size=(64, 64))
    with pytest.raises(InputError, match=r"trained with training\.patches; leave gradcam.*training\.patches: null"):
        find_stages(SheetFromWindows(net, patches), torch.zeros(1, 3, 64, 128))


def test_a_network_without_feature_maps_is_refused_in_words():
    net = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(12, 3))
    with pytest.raises(InputError, match="feature maps in the image's layout"):
        find_stages(net, torch.zeros(1, 3, 2, 2))


def test_tokens_and_channels_last_are_no_maps():
    class ChannelsLast(torch.nn.Module):
        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return images.repeat(1, 32, 1, 1).permute(0, 2, 3, 1)

    net = torch.nn.Sequential(ChannelsLast(), torch.nn.Flatten(), torch.nn.Linear(8 * 12 * 96, 3))
    with pytest.raises(InputError, match="feature maps in the image's layout"):
        find_stages(net, torch.zeros(1, 3, 8, 12))
