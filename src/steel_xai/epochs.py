"""One epoch of training: how the optimizer is driven and what the network sees."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.batches import Examples, apply_flips, load_batch, normalise
from steel_xai.device import autocast
from steel_xai.errors import InputError
from steel_xai.memory import BatchSize, in_batches, micro_batches
from steel_xai.models import train_mode
from steel_xai.objectives import Objective
from steel_xai.parallel_training import ALONE, Group
from steel_xai.parameters import LoopParameters
from steel_xai.stain_audit.stains import Stain
from steel_xai.stain_augmentation import paste_at_random

_SGD_MOMENTUM = 0.9
_STEPS_BETWEEN_READINGS = 10


@dataclass(frozen=True)
class Task:
    """What stays the same over a run."""

    sheets: np.ndarray
    train: Examples
    validation: Examples
    parameters: LoopParameters
    objective: Objective
    seed: int
    device: torch.device
    stains: Sequence[Stain] = ()
    stain_probability: float = 0
    group: Group = ALONE

    @cached_property
    def micro_batch(self) -> BatchSize:
        """How many examples the device has memory for, noisy copies included: at first a whole batch."""
        copies = 2 if self.parameters.noise > 0 else 1
        whole, processes = self.parameters.batch_size * copies, self.group.size
        # The largest share, or the largest batch that is too small to be shared.
        size = max(math.ceil(whole / processes), min(whole, processes - 1))
        # Processes that share a batch wait for each other at every part, so that all must have the same.
        return BatchSize(size, "training.batch_size", smallest=1 if processes == 1 else size)

    @property
    def steps_per_epoch(self) -> int:
        """Number of batches in an epoch, a smaller last one included."""
        return math.ceil(len(self.train) / self.parameters.batch_size)


def train_epoch(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, epoch: int, bar: "tqdm[Any]"
) -> tuple[float, float]:
    """Go once through the training examples; the mean loss and accuracy over what the network saw."""
    rng = np.random.default_rng([task.seed, epoch])
    examples = task.train.take(rng.permutation(len(task.train)))
    if task.parameters.random_flips:
        examples = examples.flipped(rng.random(len(examples)) < 0.5, rng.random(len(examples)) < 0.5)
    noise_generator = torch.Generator(task.device).manual_seed(int(rng.integers(2**63)))
    # Of their own generator, so that all else is drawn alike with stains and without.
    stain_rng = np.random.default_rng([task.seed, epoch, 1])
    totals = torch.zeros(2, dtype=torch.float64, device=task.device)
    seen = 0
    train_mode(network)
    task.objective.loss.train()
    forward = task.group.parallel(network)
    # Another dropout in each process.
    with reproducible(int(rng.integers(2**63)) + task.group.rank, task.device):
        for step in range(task.steps_per_epoch):
            index = np.arange(step * task.parameters.batch_size, (step + 1) * task.parameters.batch_size)
            part = examples.take(index[index < len(examples)])
            batch = _load_training_batch(task, part, stain_rng)
            targets = task.objective.load_targets(part).to(task.device)
            if task.parameters.noise > 0:
                batch = with_noisy_copies(batch, task.parameters.noise, noise_generator)
                targets = torch.cat([targets, targets])
            _set_learning_rate(optimizer, task, step=(epoch - 1) * task.steps_per_epoch + step)
            seen += len(targets)
            totals += _step(forward, optimizer, task, batch, targets)
            # Reading a figure waits for the device, so it is not done at every step.
            if (step + 1) % _STEPS_BETWEEN_READINGS == 0 or step + 1 == task.steps_per_epoch:
                mean_loss, accuracy = (task.group.sum(totals) / seen / task.group.size).tolist()
                check_finite(mean_loss, epoch, task)
                bar.set_description(f"epoch {epoch}/{task.parameters.epochs}", refresh=False)
                bar.set_postfix(loss=f"{mean_loss:.3f}", accuracy=f"{accuracy:.3f}", refresh=False)
            bar.update()
    return mean_loss, accuracy


def validate_epoch(network: nn.Module, task: Task) -> tuple[float, float]:
    """Go once through the validation examples in evaluation mode; their mean loss and accuracy."""
    totals = torch.zeros(2, dtype=torch.float64, device=task.device)
    n_batches = math.ceil(len(task.validation) / task.parameters.batch_size)
    network.eval()
    task.objective.loss.eval()
    with torch.inference_mode():
        for batch in range(task.group.rank, n_batches, task.group.size):
            index = np.arange(batch * task.parameters.batch_size, (batch + 1) * task.parameters.batch_size)
            part = task.validation.take(index[index < len(task.validation)])
            logits = _judge(network, load_batch(task.sheets, part, task.device), task)
            targets = task.objective.load_targets(part).to(task.device)
            loss, hits = task.objective.loss(logits, targets), task.objective.accuracy(logits, targets)
            totals += torch.stack([loss.double() * len(targets), hits.double().sum()])
    mean_loss, accuracy = (task.group.sum(totals) / len(task.validation)).tolist()
    return mean_loss, accuracy


def _judge(network: nn.Module, batch: torch.Tensor, task: Task) -> torch.Tensor:
    """Compute the logits of images, float32."""
    with autocast(task.device):
        parts = in_batches(lambda part: network(batch[part]).float(), len(batch), task.micro_batch)
        return torch.cat([logits for _, logits in parts])


def _load_training_batch(task: Task, part: Examples, rng: np.random.Generator) -> torch.Tensor:
    """Read a batch of training examples, with stains pasted on some of them if the parameters ask for it."""
    if not task.stains:
        return load_batch(task.sheets, part, task.device)
    pixels = apply_flips(task.sheets[part.rows], part.flip_h, part.flip_v)
    paste_at_random(pixels, task.stains, task.stain_probability, rng)
    return normalise(torch.from_numpy(pixels).to(task.device))


def _step(
    network: nn.Module, optimizer: torch.optim.Optimizer, task: Task, batch: torch.Tensor, targets: torch.Tensor
) -> torch.Tensor:
    """Descend once; the sums of loss and accuracy over the batch, of which other processes hold other estimates."""
    n_examples, group = len(targets), task.group
    n_parts = group.parts(n_examples)
    weights = task.objective.weigh(targets)
    weight_of_batch = weights.sum()
    batch, targets, weights = group.share(batch), group.share(targets), group.share(weights)

    def accumulate(part: slice) -> torch.Tensor:
        with autocast(task.device):
            logits = network(batch[part]).float()
        # Weighted means of parts add up to the batch's; processes average their gradients.
        loss = task.objective.loss(logits, targets[part]) * (weights[part].sum() * n_parts / weight_of_batch)
        torch.autograd.backward(loss)
        accuracy = task.objective.accuracy(logits.detach(), targets[part]).sum()
        return torch.stack([loss.detach(), accuracy * n_parts / n_examples])

    parts = micro_batches(accumulate, len(targets), task.micro_batch, start_over=optimizer.zero_grad)
    if task.parameters.gradient_clip is not None:
        nn.utils.clip_grad_norm_(network.parameters(), task.parameters.gradient_clip)
    optimizer.step()
    return torch.stack(parts).sum(dim=0).double() * n_examples


def build_optimizer(network: nn.Module, parameters: LoopParameters) -> torch.optim.Optimizer:
    """Build the optimizer of all weights that are not frozen, by its name; the learning rate is set at every step."""
    weights = [weight for weight in network.parameters() if weight.requires_grad]
    decay = parameters.weight_decay
    if parameters.optimizer == "sgd":
        return torch.optim.SGD(weights, momentum=_SGD_MOMENTUM, weight_decay=decay, fused=True)
    if parameters.optimizer == "adamw":
        return torch.optim.AdamW(weights, weight_decay=decay, fused=True)
    return torch.optim.Adam(weights, weight_decay=decay, fused=True)


def _set_learning_rate(optimizer: torch.optim.Optimizer, task: Task, step: int) -> None:
    factor = learning_rate_factor(
        step,
        warmup_steps=task.parameters.warmup_epochs * task.steps_per_epoch,
        total_steps=task.parameters.epochs * task.steps_per_epoch,
    )
    for group in optimizer.param_groups:
        group["lr"] = float(task.parameters.learning_rate) * factor


def check_finite(loss: float, epoch: int, task: Task) -> None:
    """Raise InputError if the loss is NaN or infinite."""
    if not math.isfinite(loss):
        raise InputError(
            f"training: the loss became {loss} in epoch {epoch} at learning rate {task.parameters.learning_rate}; "
            "lower training.learning_rate or set training.gradient_clip"
        )


def learning_rate_factor(step: int, *, warmup_steps: float, total_steps: int) -> float:
    """Scale the learning rate: a linear rise over the warm-up, then a cosine fall to zero (Loshchilov 2017)."""
    if step < warmup_steps:
        return (step + 1) / (warmup_steps + 1)
    return 0.5 * (1 + math.cos(math.pi * (step - warmup_steps) / max(1, total_steps - warmup_steps)))


def with_noisy_copies(batch: torch.Tensor, noise: float, generator: torch.Generator) -> torch.Tensor:
    """Append to a batch X [B, C, h, w] its noisy copies X + noise Z with Z ~ N(0, I): [2 B, C, h, w]."""
    n, channels, height, width = batch.shape
    # Drawn in the memory order of channels-last: filling strided memory takes ten times as long.
    doubled = torch.empty((2 * n, height, width, channels), device=batch.device)
    doubled[:n] = batch.permute(0, 2, 3, 1)
    doubled[n:].normal_(0, noise, generator=generator).add_(doubled[:n])
    return doubled.permute(0, 3, 1, 2)


@contextmanager
def reproducible(seed: int, device: torch.device) -> Iterator[None]:
    """Seed torch's own generators (weights, dropout) and give them back as they were."""
    with (
        torch.random.fork_rng(devices=[device] if device.type == "cuda" else []),
        torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True),
    ):
        torch.manual_seed(seed)
        yield
