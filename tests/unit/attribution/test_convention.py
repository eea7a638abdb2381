import numpy as np
import torch

from steel_xai.attribution import METHODS
from steel_xai.attribution.convention import absence, evidence, grey_maps


def test_channels_are_summed_with_their_signs():
    attributions = torch.tensor([[[[1.0]], [[-3.0]], [[0.5]]]])
    assert grey_maps(attributions).tolist() == [[[-1.5]]]


def test_evidence_is_the_absolute_value_of_pixel_maps_and_the_positive_part_of_the_others():
    signed = np.array([[-2.0, 0.0, 1.0]], np.float32)
    for method in ("deeplift", "deepshap", "integrated_gradients", "guided_backprop", "guided_gradcam"):
        assert evidence(signed, method).tolist() == [[2, 0, 1]]
    for method in ("gradcam", "hirescam", "layercam", "lime"):
        assert evidence(signed, method).tolist() == [[0, 0, 1]]


def test_every_method_has_a_title_and_only_lime_does_without_gradients():
    assert len({method.title for method in METHODS.values()}) == len(METHODS) == 9
    assert [name for name, method in METHODS.items() if not method.uses_gradients] == ["lime"]


def test_the_absent_mean_is_each_images_own_in_each_channel():
    images = torch.randn(2, 3, 4, 5, generator=torch.Generator().manual_seed(0))
    found = absence(images, "mean")
    assert found.shape == images.shape
    torch.testing.assert_close(found[1, 2], torch.full((4, 5), images[1, 2].mean().item()))


def test_the_absent_blur_has_no_texture_left_and_keeps_what_is_wide():
    columns = torch.arange(200)
    stripes = (columns % 4 < 2).float() * 2 - 1
    step = (columns >= 100).float() * 10
    images = (stripes + step).expand(1, 3, 64, 200)
    found = absence(images, "blur")
    torch.testing.assert_close(found[0, 0, 32, 20:60], torch.zeros(40), atol=0.05, rtol=0)
    torch.testing.assert_close(found[0, 0, 32, 140:180], torch.full((40,), 10.0), atol=0.05, rtol=0)
