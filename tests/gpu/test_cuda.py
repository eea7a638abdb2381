"""CUDA says what the CPU says; tolerances are those of bfloat16 where networks run in it, else of float32."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai.attribution import METHODS, Options, attribute
from steel_xai.batches import Examples
from steel_xai.device import autocast, place, select_device
from steel_xai.errors import InputError
from steel_xai.inference import evaluate_logits, predict
from steel_xai.memory import BatchSize, in_batches, micro_batches
from steel_xai.models import build_network
from steel_xai.training import train_classifier

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device"),
]

HALF_PRECISION = 2.0**-8
"""Relative rounding of a bfloat16 number."""


@pytest.fixture
def devices():
    return torch.device("cpu"), torch.device("cuda")


@pytest.fixture
def train(fake_sheets, fake_split, training_parameters, tmp_path):
    def run(device, **changes):
        return train_classifier(
            fake_sheets,
            fake_split,
            outputs=["no defect", "defect"],
            parameters=training_parameters.model_copy(update={"device": device, "epochs": 6, **changes}),
            seed=0,
            folder=tmp_path / device,
            data_source="fake",
        )

    return run


@pytest.fixture
def exact():
    """Full float32, as runs have it: without the TensorFloat-32 that convolutions take by default."""
    select_device("cuda")


def make_network(architecture, *, batch_norm):
    """Make a network with the spread of trained logits, and with statistics in its batch normalisations."""
    torch.manual_seed(0)
    network = build_network(architecture, 3, batch_norm=batch_norm, dropout=0.0, image_size=(64, 96))
    last = [module for module in network.modules() if isinstance(module, nn.Linear)][-1]
    with torch.no_grad():
        network(torch.randn(4, 3, 64, 96))
        last.weight.mul_(50)
    return network.eval()


def test_auto_is_cuda():
    assert select_device("auto").type == "cuda"


@pytest.mark.parametrize("class_weights", ["none", "inverse_frequency"])
def test_loss_curve_on_cuda_follows_that_on_the_cpu(train, class_weights):
    # Without noise and dropout, whose random numbers are others on each device.
    fixed = {"noise": 0.0, "dropout": 0.0, "learning_rate": 0.01, "class_weights": class_weights}
    (_, on_cuda), (_, on_cpu) = (train(device, **fixed) for device in ("cuda", "cpu"))
    assert len(on_cuda) == len(on_cpu)
    assert on_cpu["train_loss"].iloc[-1] < 0.8 * on_cpu["train_loss"].iloc[0]
    for column in ("train_loss", "validation_loss"):
        np.testing.assert_allclose(on_cuda[column], on_cpu[column], atol=0.05)
    np.testing.assert_allclose(on_cuda["learning_rate"], on_cpu["learning_rate"], rtol=1e-6)


def test_training_on_cuda_learns_what_training_on_the_cpu_learns(train):
    (_, on_cuda), (_, on_cpu) = train("cuda"), train("cpu")
    assert on_cuda["validation_loss"].min() == pytest.approx(on_cpu["validation_loss"].min(), abs=0.2)


def test_networks_run_in_bfloat16_on_cuda_and_their_weights_stay_float32(train):
    dtypes = set()
    hook = nn.modules.module.register_module_forward_hook(
        lambda module, _, output: dtypes.add(output.dtype) if isinstance(module, nn.Conv2d) and output.is_cuda else None
    )
    try:
        classifier, history = train("cuda")
    finally:
        hook.remove()
    assert dtypes == {torch.bfloat16}
    assert {weight.dtype for weight in classifier.network.parameters()} == {torch.float32}
    assert np.isfinite(history.to_numpy()).all()


def test_networks_run_in_float32_on_the_cpu(devices):
    with autocast(devices[0]):
        assert nn.Linear(2, 2)(torch.ones(1, 2)).dtype == torch.float32


@pytest.mark.parametrize(("architecture", "batch_norm"), [("reduced_squeezenet", True), ("resnet18", False)])
def test_logits_on_cuda_equal_those_on_the_cpu_within_half_precision(architecture, batch_norm, devices):
    network = make_network(architecture, batch_norm=batch_norm)
    sheets = np.random.default_rng(0).integers(0, 256, (20, 1, 64, 96), dtype=np.uint8)
    rows, none = np.arange(20), np.zeros(20, bool)
    on_cpu, on_cuda = (
        evaluate_logits(
            place(network, device), sheets, Examples(rows, rows, none, none), batch_size=8, device=device
        ).cpu()
        for device in devices
    )
    # Roundings of some twenty layers add up.
    assert (on_cuda - on_cpu).abs().max() < 10 * HALF_PRECISION * on_cpu.abs().max()
    assert on_cuda.dtype == torch.float32


def test_predictions_on_cuda_equal_those_on_the_cpu_within_half_precision(train, fake_sheets, fake_split):
    classifier, _ = train("cpu")
    on_cpu = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cpu")
    on_cuda = predict(classifier, fake_sheets, fake_split, batch_size=8, device="cuda")
    np.testing.assert_allclose(on_cuda[["p_0", "p_1"]], on_cpu[["p_0", "p_1"]], atol=0.02)
    pd.testing.assert_series_equal(on_cuda["row"], on_cpu["row"])


@pytest.mark.usefixtures("exact")
@pytest.mark.parametrize("method", METHODS)
def test_maps_on_cuda_equal_those_on_the_cpu(method, devices):
    network = make_network("reduced_squeezenet", batch_norm=True)
    generator = torch.Generator().manual_seed(1)
    images, background = (torch.randn(n, 3, 64, 96, generator=generator) for n in (4, 6))
    targets = torch.tensor([0, 1, 2, 0])
    options = Options(batch_size=2, ig_steps=8, shap_baselines=2, lime_samples=30, lime_segments=12)
    on_cpu, on_cuda = (
        attribute(
            place(network, device),
            images.to(device),
            targets.to(device),
            methods=[method],
            options=options,
            baselines=background.to(device),
            seeds=range(4),
        )[method]
        for device in devices
    )
    # Explanations run in float32 on both. A value next to a kink of a ReLU may fall on its other side, which changes a
    # few pixels: hence the mean, and the correlation.
    scale = np.abs(on_cpu).max(axis=(1, 2))
    assert (np.abs(on_cuda - on_cpu).mean(axis=(1, 2)) <= 1e-3 * scale).all()
    for cuda_map, cpu_map in zip(on_cuda, on_cpu, strict=True):
        if cpu_map.std() > 0:
            assert np.corrcoef(cuda_map.ravel(), cpu_map.ravel())[0, 1] > 0.999


class Hungry(nn.Module):
    """A network that takes a tenth of the device's memory for each image, so that ten do not fit and four do."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(1))
        self.n_values = torch.cuda.get_device_properties(0).total_memory // 10 // 4

    def forward(self, images):
        taken = torch.empty(len(images) * self.n_values, device=images.device)
        del taken
        return images.flatten(1).sum(dim=1) * self.weight


@pytest.mark.parametrize("n", [16, 30])
def test_inference_goes_on_with_half_a_batch_where_memory_gives_out(n):
    network, images, batch = (
        Hungry().cuda(),
        torch.arange(n, device="cuda").float()[:, None],
        BatchSize(16, "batch_size"),
    )
    with torch.inference_mode():
        found = torch.cat([values for _, values in in_batches(lambda part: network(images[part]), n, batch)])
    assert batch.size in (4, 8)
    torch.testing.assert_close(found, torch.arange(n, device="cuda").float())


@pytest.mark.parametrize("n", [16, 30])
def test_gradient_is_that_of_the_whole_batch_where_memory_gives_out(n):
    network, images, batch = (
        Hungry().cuda(),
        torch.arange(n, device="cuda").float()[:, None],
        BatchSize(n, "batch_size"),
    )

    def accumulate(part):
        torch.autograd.backward(network(images[part]).sum() / n)

    micro_batches(accumulate, n, batch, start_over=network.zero_grad)
    assert batch.size < 10
    assert network.weight.grad is not None
    assert network.weight.grad.item() == pytest.approx((n - 1) / 2)


def test_image_that_does_not_fit_alone_is_an_error():
    network = Hungry().cuda()
    network.n_values *= 20
    with pytest.raises(InputError, match="not even a batch of 1"):
        list(in_batches(lambda part: network(torch.ones(1, 1, device="cuda")), 4, BatchSize(4, "batch_size")))
