import math

import numpy as np
import pytest
import torch
from tqdm import tqdm

from steel_xai.batches import Examples
from steel_xai.device import place
from steel_xai.epochs import (
    Task,
    build_optimizer,
    learning_rate_factor,
    reproducible,
    train_epoch,
    validate_epoch,
    with_noisy_copies,
)
from steel_xai.inference import evaluate_logits
from steel_xai.models import build_network
from steel_xai.objectives import one_class

CPU = torch.device("cpu")


def test_noise_doubles_the_batch_and_keeps_the_originals():
    batch = torch.randn(4, 3, 32, 40).contiguous(memory_format=torch.channels_last)
    doubled = with_noisy_copies(batch, 0.15, torch.Generator().manual_seed(0))
    assert doubled.shape == (8, 3, 32, 40)
    assert doubled.is_contiguous(memory_format=torch.channels_last)
    assert torch.equal(doubled[:4], batch)
    difference = doubled[4:] - batch
    assert difference.std().item() == pytest.approx(0.15, rel=0.03)
    assert difference.mean().item() == pytest.approx(0, abs=0.005)


def test_noise_follows_its_seed():
    batch = torch.zeros(2, 3, 4, 5)
    first, again, other = (with_noisy_copies(batch, 1, torch.Generator().manual_seed(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_learning_rate_rises_linearly_then_falls_as_a_cosine():
    factors = [learning_rate_factor(step, warmup_steps=4, total_steps=24) for step in range(25)]
    assert factors[:5] == pytest.approx([0.2, 0.4, 0.6, 0.8, 1.0])
    assert factors[14] == pytest.approx(0.5)
    assert factors[9] == pytest.approx(0.5 * (1 + math.cos(math.pi / 4)))
    assert factors[24] == pytest.approx(0)


def test_warm_up_longer_than_the_training_only_rises():
    factors = [learning_rate_factor(step, warmup_steps=10, total_steps=5) for step in range(5)]
    assert factors == sorted(factors)


def test_seeded_block_gives_torch_its_generator_back():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    with reproducible(7, CPU):
        inside = torch.rand(2)
    assert torch.equal(torch.rand(2), expected)
    with reproducible(7, CPU):
        assert torch.equal(torch.rand(2), inside)


class Recorder(torch.nn.Module):
    """A linear network that remembers what it saw."""

    def __init__(self):
        super().__init__()
        self.linear = torch.nn.Linear(3, 2)
        self.seen = []

    def forward(self, images):
        self.seen.append(images.detach().clone())
        return self.linear(images.mean(dim=(2, 3)))


def seen_in_epoch(sheets, split, parameters, epoch, **changes):
    task = Task(
        sheets,
        Examples.of(split, "train"),
        Examples.of(split, "validation"),
        parameters.model_copy(update={"learning_rate": 0.1, "random_flips": False, "noise": 0, **changes}),
        one_class(np.zeros(1, dtype=int), 2, "none"),
        0,
        CPU,
    )
    network = Recorder()
    train_epoch(network, torch.optim.SGD(network.parameters()), task, epoch, tqdm(disable=True))
    return network.seen


def test_every_example_is_seen_once_an_epoch_in_an_order_of_its_own(fake_sheets, fake_split, training_parameters):
    orders = []
    for epoch in (1, 2):
        batches = seen_in_epoch(fake_sheets, fake_split, training_parameters, epoch)
        assert [len(batch) for batch in batches] == [8, 8, 8, 8, 4]
        orders.append(torch.cat(batches).sum(dim=(1, 2, 3)).tolist())
    assert sorted(orders[0]) == pytest.approx(sorted(orders[1]))
    assert orders[0] != orders[1]


def test_noise_repeats_each_batch_in_the_loop(fake_sheets, fake_split, training_parameters):
    batches = seen_in_epoch(fake_sheets, fake_split, training_parameters, 1, noise=0.15)
    assert [len(batch) for batch in batches] == [16, 16, 16, 16, 8]
    assert (batches[0][8:] - batches[0][:8]).std().item() == pytest.approx(0.15, rel=0.05)


def test_random_flips_show_every_orientation(fake_sheets, fake_split, training_parameters):
    ramp = np.zeros_like(fake_sheets)
    ramp[:] = np.arange(64)[:, None] + 100 * (np.arange(40) < 20)
    seen = torch.cat(seen_in_epoch(ramp, fake_split, training_parameters, 1, random_flips=True))
    corners = {(float(image[0, 0, 0]) > 0, float(image[0, 0, 0]) > float(image[0, -1, 0])) for image in seen}
    assert len(corners) >= 3
    straight = torch.cat(seen_in_epoch(ramp, fake_split, training_parameters, 1))
    assert torch.equal(straight, straight[:1].expand_as(straight))


def test_flips_of_the_split_are_applied_in_training(fake_sheets, fake_split, training_parameters):
    flipped = fake_split.assign(flip_h=True)
    batch, straight = (seen_in_epoch(fake_sheets, split, training_parameters, 1)[0] for split in (flipped, fake_split))
    assert torch.equal(batch, straight.flip(3))


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("adam", lambda weights: torch.optim.Adam(weights, 0.01, weight_decay=0.1, foreach=False)),
        ("adamw", lambda weights: torch.optim.AdamW(weights, 0.01, weight_decay=0.1, foreach=False)),
        ("sgd", lambda weights: torch.optim.SGD(weights, 0.01, momentum=0.9, weight_decay=0.1, foreach=False)),
    ],
)
def test_fused_optimizers_agree_with_plain_ones_in_channels_last(name, slow, training_parameters):
    parameters = training_parameters.model_copy(update={"optimizer": name, "weight_decay": 0.1})
    with reproducible(0, CPU):
        first, second = (
            place(build_network("reduced_squeezenet", 2, batch_norm=True, dropout=0, image_size=(64, 64)), CPU)
            for _ in range(2)
        )
        images = torch.randn(2, 3, 64, 48).contiguous(memory_format=torch.channels_last)
    second.load_state_dict(first.state_dict())
    fused, plain = build_optimizer(first, parameters), slow(second.parameters())
    fused.param_groups[0]["lr"] = 0.01
    for _ in range(3):
        fused.zero_grad()
        first(images).square().sum().backward()
        for parameter, twin in zip(first.parameters(), second.parameters(), strict=True):
            assert parameter.grad is not None
            twin.grad = parameter.grad.clone()
        fused.step()
        plain.step()
    for parameter, twin in zip(first.parameters(), second.parameters(), strict=True):
        torch.testing.assert_close(parameter, twin, rtol=1e-5, atol=1e-6)


def test_validation_is_the_mean_over_all_examples_whatever_the_batches(fake_sheets, fake_split, training_parameters):
    examples = Examples.of(fake_split, "validation")
    objective = one_class(examples.labels, 2, "none")
    task = Task(
        fake_sheets, examples, examples, training_parameters.model_copy(update={"batch_size": 5}), objective, 0, CPU
    )
    with reproducible(0, CPU):
        network = Recorder()
    loss, accuracy = validate_epoch(network, task)
    logits = evaluate_logits(network, fake_sheets, examples, batch_size=len(examples), device=CPU)
    labels = torch.from_numpy(examples.labels)
    assert len(examples) % 5
    assert loss == pytest.approx(torch.nn.functional.cross_entropy(logits, labels).item(), rel=1e-6)
    assert accuracy == pytest.approx((logits.argmax(dim=1) == labels).float().mean().item())
    assert not network.training
