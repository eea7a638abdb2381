"""All methods through their one signature: on every architecture, in batches, and without traces."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from steel_xai.attribution import METHODS, Options, attribute, prepare
from steel_xai.attribution.completeness import completeness_errors
from steel_xai.attribution.convention import absence
from steel_xai.errors import InputError
from steel_xai.models import build_network, head
from steel_xai.parameters import PatchParameters
from steel_xai.patches import SheetFromWindows

OWN = [
    *[
        (name, batch_norm)
        for name in ("ad_hoc_cnn", "reduced_squeezenet", "squeezenet")
        for batch_norm in (False, True)
    ],
    *[(name, False) for name in ("vgg16_bn", "densenet121", "resnet18")],
]
QUICK = Options(batch_size=3, ig_steps=4, shap_baselines=2, lime_samples=12, lime_segments=6)


def trained_like(architecture: str, batch_norm: bool, size: tuple[int, int] = (64, 64)) -> nn.Module:
    """Random weights with the spread of trained logits and with statistics in the batch normalisations."""
    torch.manual_seed(0)
    net = build_network(architecture, 3, batch_norm=batch_norm, dropout=0.2, image_size=size)
    with torch.no_grad():
        net(torch.randn(4, 3, *size))
        last = [module for module in head(net).modules() if isinstance(module, nn.Linear)][-1]
        last.weight.mul_(50)
    return net.eval()


def examples(n: int, size: tuple[int, int] = (64, 64)) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    images = torch.randn(n + 4, 3, *size, generator=torch.Generator().manual_seed(1))
    return images[:n], torch.arange(n) % 3, images[n:]


def explain(net, images, targets, background, methods=tuple(METHODS), seeds=None, options=QUICK):
    seeds = range(len(images)) if seeds is None else seeds
    return attribute(net, images, targets, methods=methods, options=options, baselines=background, seeds=seeds)


@pytest.mark.parametrize(("architecture", "batch_norm"), OWN)
def test_every_method_explains_every_architecture(architecture, batch_norm):
    images, targets, background = examples(1)
    maps = explain(trained_like(architecture, batch_norm), images, targets, background)
    assert list(maps) == list(METHODS)
    for method, signed in maps.items():
        assert signed.dtype == np.float32
        assert signed.shape == (1, 64, 64)
        assert np.isfinite(signed).all()
        # Guided GradCAM has nothing to show where no cell speaks for the class.
        assert signed.std() > 0 or (method == "guided_gradcam" and maps["gradcam"].max() <= 0)


@pytest.mark.parametrize(("architecture", "batch_norm"), OWN)
def test_deeplift_and_deepshap_are_complete_on_every_architecture(architecture, batch_norm):
    images, targets, background = examples(2)
    net = trained_like(architecture, batch_norm)
    errors = completeness_errors(net, images, targets, options=QUICK, baselines=background, seeds=[0, 1])
    assert errors["deeplift"].max() < 1e-4
    assert errors["deepshap"].max() < 1e-4


def test_integrated_gradients_are_complete_up_to_their_steps():
    images, targets, background = examples(2)
    net = trained_like("ad_hoc_cnn", True)

    def error(ig_steps: int) -> float:
        options = Options(ig_steps=ig_steps, shap_baselines=1)
        found = completeness_errors(net, images, targets, options=options, baselines=background, seeds=[0, 1])
        return float(found["integrated_gradients"].max())

    assert error(100) < 0.2 * error(4)


def test_completeness_errors_notice_maps_that_do_not_add_up(monkeypatch):
    images, targets, background = examples(2)
    net = trained_like("ad_hoc_cnn", False)

    def doubled(*arguments, **named):
        return {method: 2 * maps for method, maps in attribute(*arguments, **named).items()}

    monkeypatch.setattr("steel_xai.attribution.completeness.attribute", doubled)
    errors = completeness_errors(net, images, targets, options=QUICK, baselines=background, seeds=[0, 1])
    with torch.no_grad():
        outputs, absent = net(images), net(absence(images, "mean"))
    scale = torch.maximum(outputs.abs(), absent.abs()).amax(dim=1)
    expected = (outputs - absent).gather(1, targets[:, None])[:, 0].abs() / scale
    np.testing.assert_allclose(errors["deeplift"], expected, rtol=1e-3, atol=1e-6)


def test_a_batch_gives_what_its_images_give_one_by_one():
    images, targets, background = examples(5)
    net = trained_like("reduced_squeezenet", True)
    together = explain(net, images, targets, background)
    for i in range(len(images)):
        alone = explain(net, images[i : i + 1], targets[i : i + 1], background, seeds=[i])
        for method, signed in together.items():
            np.testing.assert_allclose(signed[i], alone[method][0], atol=1e-5 * np.abs(signed[i]).max(), err_msg=method)


def test_methods_together_give_what_they_give_alone():
    images, targets, background = examples(2)
    net = trained_like("reduced_squeezenet", False)
    together = explain(net, images, targets, background)
    for method, signed in together.items():
        np.testing.assert_array_equal(explain(net, images, targets, background, [method])[method], signed)


def test_prepared_methods_explain_image_after_image_as_all_at_once():
    images, targets, background = examples(3)
    net = trained_like("ad_hoc_cnn", True)
    methods = ["deeplift", "gradcam", "lime"]
    explain_prepared = prepare(net, images[:1], methods=methods, options=QUICK, baselines=background)
    whole = explain(net, images, targets, background, methods)
    for i in range(3):
        alone = explain_prepared(images[i : i + 1], targets[i : i + 1], [i])
        for method in methods:
            np.testing.assert_allclose(alone[method][0], whole[method][i], atol=1e-5 * np.abs(whole[method]).max())


def test_only_complete_methods_asked_for_are_computed(monkeypatch):
    images, targets, background = examples(1)
    asked = []

    def recording(*arguments, **named):
        asked.append(named["methods"])
        return attribute(*arguments, **named)

    monkeypatch.setattr("steel_xai.attribution.completeness.attribute", recording)
    how: dict[str, Any] = {"options": QUICK, "baselines": background, "seeds": [0]}
    net = trained_like("ad_hoc_cnn", False)
    assert list(completeness_errors(net, images, targets, methods=["integrated_gradients"], **how)) == asked[0]
    assert completeness_errors(net, images, targets, methods=[], **how) == {}
    assert len(asked) == 1


def test_seeds_matter_to_deepshap_and_lime_alone():
    images, targets, background = examples(2)
    net = trained_like("ad_hoc_cnn", True)
    one, other = (explain(net, images, targets, background, seeds=seeds) for seeds in ([0, 1], [0, 7]))
    changed = {method for method in METHODS if not np.array_equal(one[method][1], other[method][1])}
    assert changed == {"deepshap", "lime"}
    assert all(np.array_equal(one[method][0], other[method][0]) for method in METHODS)


@pytest.mark.filterwarnings("ignore")
def test_guided_gradcam_equals_captums():
    from captum.attr import GuidedGradCam

    images, targets, background = examples(3)
    net = trained_like("reduced_squeezenet", True)
    expected = GuidedGradCam(net, net.get_submodule("features.9")).attribute(
        images, targets, interpolate_mode="bilinear"
    )
    found = explain(net, images, targets, background, ["guided_gradcam"])["guided_gradcam"]
    np.testing.assert_allclose(found, expected.detach().sum(dim=1), rtol=1e-5, atol=1e-6 * float(expected.abs().max()))


def traces(net: nn.Module) -> dict[str, Any]:
    """All that an attribution could leave behind in a network."""
    modules = list(net.modules())
    hooks = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return {
        "state": {name: tensor.clone() for name, tensor in net.state_dict().items()},
        "layout": [parameter.stride() for parameter in net.parameters()],
        "gradients": [parameter.grad for parameter in net.parameters()],
        "requires_grad": [parameter.requires_grad for parameter in net.parameters()],
        "hooks": [dict(getattr(module, name)) for module in modules for name in hooks],
        "training": [module.training for module in modules],
        "inplace": [getattr(module, "inplace", None) for module in modules],
        "attributes": [sorted(vars(module)) for module in modules],
    }


def marked_network() -> nn.Module:
    """In training mode but for a part, with frozen weights, gradients, a hook, and ReLUs that work in place."""
    net = trained_like("ad_hoc_cnn", True).train()
    net.get_submodule("features.0").eval().requires_grad_(False)
    weight = net.get_parameter("classifier.1.weight")
    weight.grad = torch.ones_like(weight)
    vars(net.get_submodule("features.1"))["inplace"] = True
    net.get_submodule("features.3").register_forward_hook(lambda *_: None)
    return net


@pytest.mark.parametrize("channels", [3, 1])
def test_the_network_stays_as_it_was_even_after_an_error(channels):
    images, targets, background = examples(2)
    net = marked_network()
    before = traces(net)
    if channels == 3:
        explain(net, images, targets, background)
    else:
        for method in METHODS:
            with pytest.raises(RuntimeError, match="channels"):
                explain(net, images[:, :1], targets, background[:, :1], [method])
    after = traces(net)
    assert all(torch.equal(after["state"][name], tensor) for name, tensor in before.pop("state").items())
    assert {name: after[name] for name in before} == before
    assert not images.requires_grad


def test_an_images_gradient_flag_and_mode_do_not_matter():
    images, targets, background = examples(1)
    net = marked_network()
    expected = explain(net, images, targets, background)
    with torch.no_grad():
        found = explain(net.eval(), images.clone().requires_grad_(), targets, background)
    for method in METHODS:
        np.testing.assert_array_equal(found[method], expected[method])


def test_the_blurred_baseline_changes_deeplift_and_integrated_gradients_alone():
    images, targets, background = examples(1)
    net = trained_like("ad_hoc_cnn", True)
    changed = Options(**{**vars(QUICK), "baseline": "blur"})
    one, other = (explain(net, images, targets, background, options=options) for options in (QUICK, changed))
    differing = {method for method in METHODS if not np.array_equal(one[method], other[method])}
    assert differing == {"deeplift", "integrated_gradients"}


def test_layers_can_be_chosen():
    images, targets, background = examples(1)
    net = trained_like("reduced_squeezenet", True)
    options = Options(cam_layer="features.4", fine_layer="features.9")
    chosen = explain(net, images, targets, background, ["gradcam", "layercam", "hirescam"], options=options)
    default = explain(net, images, targets, background, ["gradcam", "layercam", "hirescam"])
    for method in chosen:
        assert not np.array_equal(chosen[method], default[method])
    with pytest.raises(InputError, match=r"No layer 'features\.99'"):
        explain(net, images, targets, background, ["gradcam"], options=Options(cam_layer="features.99"))


def test_windows_of_sheets_are_explained_where_a_method_is_defined_for_them():
    patches = PatchParameters(count=2, size=(64, 64), black_level=12, max_black=0.5)
    sheet = SheetFromWindows(trained_like("ad_hoc_cnn", True), patches).eval()
    images, targets, background = examples(2, (64, 100))
    possible = ["guided_backprop", "integrated_gradients", "lime"]
    assert all(signed.std() > 0 for signed in explain(sheet, images, targets, background, possible).values())
    for method in set(METHODS) - set(possible):
        with pytest.raises(InputError, match=r"training\.patches: null"):
            explain(sheet, images, targets, background, [method])


def test_methods_without_a_rule_for_an_architecture_say_so():
    images, targets, background = examples(1)
    net = trained_like("mobilenet_v2", False)
    for method in ("deeplift", "deepshap", "guided_backprop", "guided_gradcam"):
        with pytest.raises(InputError, match=f"{method}.*: no rule for (ReLU6|hardtanh), which MobileNetV2 has"):
            explain(net, images, targets, background, [method])
    possible = ["gradcam", "layercam", "hirescam", "integrated_gradients", "lime"]
    assert all(signed.std() > 0 for signed in explain(net, images, targets, background, possible).values())


def test_unknown_methods_and_missing_baselines_are_named():
    images, targets, _ = examples(1)
    net = trained_like("ad_hoc_cnn", False)
    with pytest.raises(ValueError, match=r"unknown attribution methods \['gradcamm'\]"):
        explain(net, images, targets, None, ["gradcamm"])
    with pytest.raises(ValueError, match="deepshap needs baselines"):
        explain(net, images, targets, None, ["deepshap"])


def test_no_images_give_no_maps():
    images, targets, background = examples(1)
    maps = explain(trained_like("ad_hoc_cnn", False), images[:0], targets[:0], background)
    assert all(signed.shape == (0, 64, 64) for signed in maps.values())
