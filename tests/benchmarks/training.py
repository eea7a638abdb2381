"""A training step: ours, the study's own loop, and bare forward and backward passes on tensors in memory.

Each way runs in a process of its own, since ours changes how the process keeps freed memory.
"""

import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch, normalise
from steel_xai.config import TaskConfigLoader
from steel_xai.device import keep_freed_memory, place, select_device
from steel_xai.epochs import Task, build_optimizer, train_epoch, with_noisy_copies
from steel_xai.models import build_network
from steel_xai.objectives import one_class
from steel_xai.parameters import TrainingParameters

from .start import PROJECT

N_STEPS, BATCH_SIZE, NOISE = 8, 16, 0.15
N_SHEETS = N_STEPS * BATCH_SIZE


def seconds_per_step(way: str) -> float:
    """Time ``ours``, ``peer`` or ``floor`` in a fresh process: the mean of two epochs after one to warm up."""
    code = f"from tests.benchmarks import training; print(training.time_epochs(training.{way}()))"
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return float(run.stdout.splitlines()[-1])


def time_epochs(epoch: Callable[[], object]) -> float:
    """Run an epoch three times; mean seconds a step of the last two."""
    taken = []
    for _ in range(3):
        begin = time.perf_counter()
        epoch()
        taken.append(time.perf_counter() - begin)
    return float(np.mean(taken[1:]) / N_STEPS)


def sheets_and_labels() -> tuple[np.ndarray, np.ndarray]:
    """Make grey sheets of noise, for the time a step takes does not depend on what they show."""
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (N_SHEETS, 1, 64, 400), dtype=np.uint8), rng.integers(0, 2, N_SHEETS)


def network() -> nn.Module:
    """Build the project's binary network as it starts from random weights."""
    return build_network("reduced_squeezenet", 2, batch_norm=True, dropout=0.2, image_size=(64, 400))


def ours() -> Callable[[], object]:
    """The project's loop on uint8 sheets: flips, noisy copies, clipping, learning-rate schedule and progress bar."""
    keep_freed_memory(torch.device("cpu"))
    sheets, labels = sheets_and_labels()
    nothing = np.zeros(N_SHEETS, dtype=bool)
    examples = Examples(np.arange(N_SHEETS), labels, nothing, nothing)
    parameters = _parameters()
    device = select_device("cpu")
    model = place(network(), device)
    task = Task(sheets, examples, examples, parameters, one_class(labels, 2, "none"), 0, device)
    optimizer = build_optimizer(model, parameters)
    bar = tqdm(total=10**9, file=sys.stderr)
    return lambda: train_epoch(model, optimizer, task, 1, bar)


def parts() -> dict[str, Callable[[], object]]:
    """Take apart what a step of ours does beside forward and backward passes."""
    sheets, labels = sheets_and_labels()
    cpu = torch.device("cpu")
    model = place(network(), cpu).train()
    optimizer = build_optimizer(model, _parameters())
    for weight in model.parameters():
        weight.grad = torch.zeros_like(weight)
    nothing = np.zeros(N_SHEETS, dtype=bool)
    part = Examples(np.arange(N_SHEETS), labels, nothing, nothing).take(np.arange(BATCH_SIZE))
    flipped = part.flipped(~nothing[part.rows], nothing[part.rows])
    batch, generator = load_batch(sheets, part, cpu), torch.Generator().manual_seed(0)
    return {
        "Adam's step": optimizer.step,
        "reading, flipping and normalising a batch": lambda: load_batch(sheets, flipped, cpu),
        "noisy copies": lambda: with_noisy_copies(batch, NOISE, generator),
        "the norm of the gradient, for clipping": lambda: nn.utils.clip_grad_norm_(model.parameters(), 1.0),
    }


def peer() -> Callable[[], object]:
    """The study's loop: float tensors in NCHW, batches by slicing, noisy copies, accuracy read at every batch."""
    sheets, labels = sheets_and_labels()
    x, y = normalise(torch.from_numpy(sheets)).contiguous(), torch.from_numpy(labels)
    model = network().train()
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-4)
    loss_function = nn.CrossEntropyLoss()

    def epoch() -> None:
        correct = 0
        order = torch.randperm(N_SHEETS)
        for start in range(0, N_SHEETS, BATCH_SIZE):
            index = order[start : start + BATCH_SIZE]
            batch = x[index]
            batch = torch.cat([batch, batch + NOISE * torch.randn(batch.shape)])
            target = torch.cat([y[index], y[index]])
            optimizer.zero_grad()
            output = model(batch)
            loss = loss_function(output, target)
            loss.backward()
            optimizer.step()
            correct += int((output.argmax(1) == target).sum().item())
            loss.item()

    return epoch


def floor() -> Callable[[], object]:
    """Forward and backward on a ready batch in the fastest memory layout, and nothing else."""
    keep_freed_memory(torch.device("cpu"))
    sheets, labels = sheets_and_labels()
    batch = normalise(torch.from_numpy(np.concatenate([sheets[:BATCH_SIZE]] * 2)))
    target = torch.from_numpy(np.concatenate([labels[:BATCH_SIZE]] * 2))
    model = place(network(), torch.device("cpu")).train()
    loss_function = nn.CrossEntropyLoss()

    def epoch() -> None:
        for _ in range(N_STEPS):
            model.zero_grad(set_to_none=True)
            loss_function(model(batch), target).backward()

    return epoch


def _parameters() -> TrainingParameters:
    loader = TaskConfigLoader(str(PROJECT / "conf"), base_env="base", default_run_env="base")
    values = loader["parameters"]["training"] | {"learning_rate": 1e-3, "random_flips": True, "batch_size": BATCH_SIZE}
    return TrainingParameters.model_validate(values)
