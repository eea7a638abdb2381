"""What networks are trained for: the targets of examples, a loss, and a share of right answers."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import nn

from steel_xai.batches import Examples

ClassWeights = Literal["none", "inverse_frequency"]


@dataclass(frozen=True)
class Objective:
    """What the training loop needs to know of a kind of task.

    ``load_targets`` reads the targets [B, ...] of examples, flipped as these are; ``loss`` takes float32 logits and
    targets and is a mean over the batch; ``accuracy`` gives each example's share of right answers, float [B] in 0..1;
    ``weigh`` gives each example's weight in that mean, float [B]. What the loss holds is on the CPU, from where the
    processes that share a training take it each to its own device; ``weigh`` may use it.
    """

    load_targets: Callable[[Examples], torch.Tensor]
    loss: nn.Module
    accuracy: Callable[[torch.Tensor, torch.Tensor], torch.Tensor]
    weigh: Callable[[torch.Tensor], torch.Tensor] = lambda targets: torch.ones(len(targets), device=targets.device)


def one_class(labels: np.ndarray, n_outputs: int, weights: ClassWeights) -> Objective:
    """Tell apart classes of which each example has one: cross-entropy.

    With ``inverse_frequency`` a class of n_c training examples weighs 1/n_c, scaled to a mean of 1 over the training
    examples. A class without an example weighs nothing.

    Args:
        labels: Of the training examples, int [n].
        n_outputs: Number of logits K; logits are [B, K].
        weights: Of the classes.
    """

    def load_targets(part: Examples) -> torch.Tensor:
        return torch.from_numpy(part.labels)

    def accuracy(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return (logits.argmax(dim=1) == targets).float()

    if weights == "none":
        return Objective(load_targets, nn.CrossEntropyLoss(), accuracy)
    loss = nn.CrossEntropyLoss(weight=_balanced(np.bincount(labels, minlength=n_outputs)))
    # The loss's own, which go with it to a device.
    return Objective(load_targets, loss, accuracy, lambda targets: loss.get_buffer("weight")[targets])


def every_class(labels: np.ndarray, n_outputs: int, weights: ClassWeights) -> Objective:
    """Find each of K classes by itself: `torch.nn.MultiLabelSoftMarginLoss`, the mean of K binary cross-entropies.

    Args:
        labels: Bit fields of the training examples' classes, int [n]: bit k stands for output k.
        n_outputs: Number of logits K; logits are [B, K].
        weights: Of the classes, as in `one_class`.
    """
    loss = nn.MultiLabelSoftMarginLoss()
    if weights == "inverse_frequency":
        counts = label_bits(labels, n_outputs).sum(axis=0)
        loss = nn.MultiLabelSoftMarginLoss(weight=_balanced(counts))
    return Objective(
        lambda part: torch.from_numpy(label_bits(part.labels, n_outputs).astype(np.float32)),
        loss,
        lambda logits, targets: ((logits > 0) == (targets > 0)).float().mean(dim=1),
    )


def label_bits(labels: np.ndarray, n_outputs: int) -> np.ndarray:
    """Open bit fields int [n] of classes: bool [n, K], where column k is bit k."""
    return np.asarray((labels[:, None] >> np.arange(n_outputs)) & 1 == 1)


def _balanced(counts: np.ndarray) -> torch.Tensor:
    """Weigh classes by 1/n_c, to a mean of 1 over the examples; a class without any weighs nothing."""
    present = counts > 0
    weights = np.zeros(len(counts), np.float32)
    weights[present] = counts.sum() / present.sum() / counts[present]
    return torch.from_numpy(weights)
