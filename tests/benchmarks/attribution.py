"""Attribution: ours, naive calls of captum and lime image by image, and the passes that a method cannot do without."""

import warnings
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from io import StringIO

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from steel_xai.attribution import Options, attribute
from steel_xai.attribution.cam import cam_maps, gradcam, recorded
from steel_xai.attribution.layers import FINE_STRIDE, choose_layer, find_stages
from steel_xai.attribution.rewiring import private_copy
from steel_xai.batches import normalise
from steel_xai.device import keep_freed_memory, place

from .training import network, sheets_and_labels

N_QUICK, N_SLOW, N_LIME = 32, 8, 2
"""Images for methods of a few passes, of many, and for LIME, whose samples are many more."""
OPTIONS = Options()
SHARED = ("gradcam", "guided_backprop", "guided_gradcam")

Ways = tuple[Callable[[], object], Callable[[], object] | None, Callable[[], object]]
"""Ours, peer (captum has no LayerCAM or HiResCAM), floor."""


def ways() -> Mapping[str, Ways]:
    """Give the three ways for the methods that share work, and for every single method of the design's table."""
    sheets, labels = sheets_and_labels()
    images = normalise(torch.from_numpy(sheets[:N_QUICK]))
    targets = torch.from_numpy(labels[:N_QUICK])
    cpu = torch.device("cpu")
    keep_freed_memory(cpu)  # as runs do; for all three ways
    fast, plain = place(network(), cpu).eval(), network().eval()
    plain.load_state_dict(fast.state_dict())
    single = images.contiguous()
    captum = _captum_calls(plain, single)

    def compare(*methods: str, n: int, passes: int, backward: bool = True) -> Ways:
        def ours() -> object:
            return attribute(
                fast,
                images[:n],
                targets[:n],
                methods=methods,
                options=OPTIONS,
                baselines=images[: OPTIONS.shap_baselines],
                seeds=range(n),
            )

        def peer() -> None:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for image, target in zip(single[:n], targets.tolist(), strict=False):
                    for method in methods:
                        captum[method](image[None], target)

        def floor() -> None:
            for batch in torch.split(images[:n], OPTIONS.batch_size):
                _passes(fast, batch, passes, backward=backward)

        return ours, peer, floor

    def of_layers(method: str, *layers: str, image: bool = False) -> Ways:
        """Take the method's gradients for its floor: those of the layers, and of the image where it needs them."""
        ours, peer, _ = compare(method, n=N_QUICK, passes=0)

        def floor() -> None:
            for batch in torch.split(images, OPTIONS.batch_size):
                _gradients_of(fast, batch, layers, image=image)

        return ours, peer if method in captum else None, floor

    stages = find_stages(fast, images[:1])
    last, fine = choose_layer(fast, stages, None), choose_layer(fast, stages, None, max_stride=FINE_STRIDE)
    ours_lime, _, _ = compare("lime", n=N_LIME, passes=0)
    return {
        "GradCAM + GBP + both": compare(*SHARED, n=N_QUICK, passes=1),
        "GradCAM": compare("gradcam", n=N_QUICK, passes=1, backward=False),
        "LayerCAM": of_layers("layercam", fine),
        "HiResCAM": of_layers("hirescam", fine),
        "guided GradCAM": of_layers("guided_gradcam", last, image=True),
        "guided backpropagation": compare("guided_backprop", n=N_QUICK, passes=1),
        "DeepLift": compare("deeplift", n=N_QUICK, passes=2),
        "DeepShap": compare("deepshap", n=N_SLOW, passes=2 * OPTIONS.shap_baselines),
        "integrated gradients": compare("integrated_gradients", n=N_SLOW, passes=OPTIONS.ig_steps),
        "LIME": (
            ours_lime,
            lambda: _lime(plain, sheets[:N_LIME, 0]),
            lambda: _passes(fast, images[:8], N_LIME * OPTIONS.lime_samples // 8, backward=False),
        ),
    }


def parts_of_gradcam() -> Mapping[str, Callable[[], object]]:
    """Take GradCAM apart: what it needs beside the forward pass that is its floor."""
    sheets, labels = sheets_and_labels()
    images, targets = normalise(torch.from_numpy(sheets[:N_QUICK])), torch.from_numpy(labels[:N_QUICK])
    net = place(network(), torch.device("cpu")).eval().requires_grad_(False)
    layer = choose_layer(net, find_stages(net, images[:1]), None)
    batches = torch.split(images, OPTIONS.batch_size)

    def forward() -> None:
        for batch in batches:
            _passes(net, batch, 1, backward=False)

    def keeping_the_layer() -> None:
        for batch in batches:
            with recorded(net, [layer]), torch.enable_grad():
                net(batch)

    def maps() -> None:
        for batch, classes in zip(batches, torch.split(targets, OPTIONS.batch_size), strict=True):
            cam_maps(net, batch, classes, [(gradcam, layer)])

    return {
        "a forward pass without gradients": forward,
        "with the layer kept for gradients": keeping_the_layer,
        "with the backward pass from the logits to the layer, and the map": maps,
        "copying the network, and finding its last stage": lambda: find_stages(private_copy(net), images[:1]),
    }


def largest_difference() -> float:
    """Compare the shared maps with captum's: the largest difference, as a share of the map's largest value."""
    sheets, _ = sheets_and_labels()
    images = normalise(torch.from_numpy(sheets[:2]))
    net = network().eval()
    targets = torch.zeros(2, dtype=torch.int64)
    found = attribute(net, images, targets, methods=SHARED, options=OPTIONS, baselines=None, seeds=[0, 0])
    captum = _captum_calls(net, images.contiguous())
    worst = 0.0
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for method in SHARED:
            theirs = np.stack([captum[method](image[None], 0) for image in images])
            worst = max(worst, float(np.abs(found[method] - theirs).max() / np.abs(theirs).max()))
    return worst


def _captum_calls(net: nn.Module, images: torch.Tensor) -> Mapping[str, Callable[[torch.Tensor, int], np.ndarray]]:
    """Explain one image by captum's public classes, as its tutorials do: maps [H, W]."""
    from captum.attr import (
        DeepLift,
        DeepLiftShap,
        GuidedBackprop,
        GuidedGradCam,
        IntegratedGradients,
        LayerGradCam,
    )

    layer = net.get_submodule(choose_layer(net, find_stages(net, images[:1]), None))
    size = tuple(images.shape[2:])
    gradcam = LayerGradCam(net, layer)
    of_pixels = {
        "guided_backprop": lambda image, target: GuidedBackprop(net).attribute(image, target=target),
        "guided_gradcam": lambda image, target: GuidedGradCam(net, layer).attribute(
            image, target=target, interpolate_mode="bilinear"
        ),
        "deeplift": lambda image, target: DeepLift(net).attribute(
            image, image.mean(dim=(2, 3), keepdim=True).expand_as(image), target=target
        ),
        "deepshap": lambda image, target: DeepLiftShap(net).attribute(
            image, images[: OPTIONS.shap_baselines], target=target
        ),
        "integrated_gradients": lambda image, target: IntegratedGradients(net).attribute(
            image,
            image.mean(dim=(2, 3), keepdim=True).expand_as(image),
            target=target,
            n_steps=OPTIONS.ig_steps,
            method="riemann_trapezoid",
        ),
    }

    def cam(image: torch.Tensor, target: int) -> np.ndarray:
        coarse = gradcam.attribute(image, target=target)
        upsampled = functional.interpolate(coarse, size=size, mode="bilinear", align_corners=False)
        return upsampled[0, 0].detach().numpy()

    def summed(call: Callable[[torch.Tensor, int], torch.Tensor]) -> Callable[[torch.Tensor, int], np.ndarray]:
        return lambda image, target: call(image.clone().requires_grad_(), target)[0].sum(dim=0).detach().numpy()

    return {"gradcam": cam, **{method: summed(call) for method, call in of_pixels.items()}}


def _lime(net: nn.Module, sheets: np.ndarray) -> None:
    """Explain grey sheets [N, h, w] by lime with its own segments, as many samples as ours."""
    from lime.lime_image import LimeImageExplainer

    def predict(pictures: np.ndarray) -> np.ndarray:
        pixels = torch.from_numpy(np.ascontiguousarray(pictures.transpose(0, 3, 1, 2)).astype(np.uint8))
        with torch.inference_mode():
            return torch.softmax(net(normalise(pixels).contiguous()), dim=1).numpy()

    for sheet in sheets:
        with warnings.catch_warnings(), redirect_stderr(StringIO()):  # of its progress bars
            warnings.simplefilter("ignore")
            LimeImageExplainer(random_state=0).explain_instance(
                np.repeat(sheet[:, :, None], 3, axis=2),
                predict,
                num_samples=OPTIONS.lime_samples,
            )


def _gradients_of(net: nn.Module, images: torch.Tensor, layers: Sequence[str], *, image: bool) -> None:
    """Run a batch through the network, and back to some layers; with ``image`` on to the image as well."""
    images = images.detach().requires_grad_(image)
    with recorded(net, layers) as features:
        score = net(images)[:, 0].sum()
    torch.autograd.grad(score, list(features.values()), retain_graph=image)
    if image:
        torch.autograd.grad(score, images)


def _passes(net: nn.Module, images: torch.Tensor, n: int, *, backward: bool) -> None:
    """Run a batch through the network n times, with the gradient of the images or without."""
    if not backward:
        with torch.inference_mode():
            for _ in range(n):
                net(images)
        return
    for _ in range(n):
        image = images.detach().requires_grad_()
        torch.autograd.grad(net(image)[:, 0].sum(), image)
