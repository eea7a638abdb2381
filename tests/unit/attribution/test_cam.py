from collections import OrderedDict

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from steel_xai.attribution.cam import cam_maps, gradcam, gradcam_all_classes, hirescam, layercam
from steel_xai.attribution.rewiring import private_copy
from steel_xai.errors import InputError

TARGETS = torch.tensor([0, 2, 1])


@pytest.fixture
def net() -> nn.Module:
    torch.manual_seed(0)
    features = nn.Sequential(
        *(nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(4, 6, 3, padding=1), nn.ReLU())
    )
    classifier = nn.Sequential(nn.Conv2d(6, 8, 1), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 3))
    return nn.Sequential(OrderedDict(features=features, classifier=classifier)).eval()


@pytest.fixture
def images() -> torch.Tensor:
    return torch.randn(3, 3, 12, 20, generator=torch.Generator().manual_seed(1))


def maps(net: nn.Module, images: torch.Tensor, *cams, targets: torch.Tensor = TARGETS) -> list[torch.Tensor]:
    return cam_maps(private_copy(net), images, targets, cams)


def test_formulas_by_hand():
    features = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # (1, 2, 1, 2)
    gradients = torch.tensor([[[[1.0, -3.0]], [[2.0, 0.0]]]])
    assert gradcam(features, gradients).tolist() == [[[-1 * 1 + 1 * 3, -1 * 2 + 1 * 4]]]
    assert hirescam(features, gradients).tolist() == [[[1 * 1 + 2 * 3, -3 * 2 + 0 * 4]]]
    assert layercam(features, gradients).tolist() == [[[1 * 1 + 2 * 3, 0 * 2 + 0 * 4]]]


def test_gradcam_of_an_averaging_head_is_its_weights_times_the_features(images):
    features = nn.Sequential(nn.Conv2d(3, 5, 1), nn.Softplus())
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 3))
    net = nn.Sequential(OrderedDict(features=features, classifier=head)).eval()
    with torch.no_grad():
        expected = torch.einsum("nc,nchw->nhw", head[2].get_parameter("weight")[TARGETS], features(images)) / (12 * 20)
    coarse, fine = maps(net, images, (gradcam, "features.1"), (hirescam, "features.1"))
    torch.testing.assert_close(coarse, expected)
    torch.testing.assert_close(fine, expected)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("layer", ["features.1", "features.4"])
def test_gradcam_equals_captums(net, images, layer):
    from captum.attr import LayerAttribution, LayerGradCam

    coarse = LayerGradCam(net, net.get_submodule(layer)).attribute(images, TARGETS).detach()
    expected = LayerAttribution.interpolate(coarse, (12, 20), "bilinear")[:, 0]
    (found,) = maps(net, images, (gradcam, layer))
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-7)


def test_layers_together_equal_layers_one_by_one(net, images):
    cams = [(gradcam, "features.4"), (layercam, "features.1"), (hirescam, "features.1"), (layercam, "features.4")]
    for together, alone in zip(maps(net, images, *cams), [maps(net, images, cam)[0] for cam in cams], strict=True):
        torch.testing.assert_close(together, alone)


def test_all_classes_equal_class_by_class(net, images):
    found = gradcam_all_classes(net, images, layer="features.4")
    assert found.shape == (3, 3, 12, 20)
    for k in range(3):
        (expected,) = maps(net, images, (gradcam, "features.4"), targets=torch.full((3,), k))
        np.testing.assert_allclose(found[:, k], expected, rtol=1e-5, atol=1e-7)


def test_all_classes_default_to_the_last_stage(net, images):
    np.testing.assert_array_equal(
        gradcam_all_classes(net, images), gradcam_all_classes(net, images, layer="features.4")
    )


def test_the_signed_map_keeps_what_speaks_against_the_class(net, images):
    signed = gradcam_all_classes(net, images)
    assert signed.min() < 0 < signed.max()


def test_one_forward_pass_serves_all_layers(net, images):
    calls = []
    own = private_copy(net)
    own.get_submodule("features.0").register_forward_hook(lambda *_: calls.append(1))
    cam_maps(own, images, TARGETS, [(gradcam, "features.4"), (layercam, "features.1"), (hirescam, "features.1")])
    assert len(calls) == 1


def test_hooks_are_off_again_after_an_error(net, images):
    own = private_copy(net)
    with pytest.raises(RuntimeError):
        cam_maps(own, images[:, :1], TARGETS, [(gradcam, "features.4")])
    assert not any(module._forward_hooks for module in own.modules())


def test_what_a_function_does_in_place_later_does_not_change_a_layers_map(images):
    class InPlace(nn.Module):
        def __init__(self, overwrites: bool) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.overwrites, self.layer, self.fc = overwrites, nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

        def forward(self, images):
            return self.fc(functional.relu(self.layer(images), inplace=self.overwrites).mean((2, 3)))

    cams = [(gradcam, "layer"), (hirescam, "layer")]
    for found, expected in zip(maps(InPlace(True), images, *cams), maps(InPlace(False), images, *cams), strict=True):
        torch.testing.assert_close(found, expected)


def test_a_layer_without_feature_maps_is_refused_in_words(net, images):
    with pytest.raises(InputError, match=r"Layer classifier\.3 gives no feature maps"):
        maps(net, images, (gradcam, "classifier.3"))


def test_a_layer_that_the_logits_do_not_depend_on_is_refused_in_words(images):
    class WithAside(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.aside = nn.Conv2d(3, 2, 1)
            self.fc = nn.Linear(3, 3)

        def forward(self, images):
            self.aside(images)
            return self.fc((images * self.fc.weight[0, 0]).mean((2, 3)) + self.aside(images).detach().mean())

    net = WithAside().eval()
    with pytest.raises(InputError, match="do not depend on layer aside"):
        cam_maps(net, images, TARGETS, [(gradcam, "aside")])
