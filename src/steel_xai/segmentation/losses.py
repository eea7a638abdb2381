"""What segmentation networks are trained for: the class of every pixel."""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import torch
from torch import nn

from steel_xai.batches import Examples, apply_flips
from steel_xai.objectives import Objective
from steel_xai.parallel_training import sum_over_processes

Loss = Literal["cross_entropy", "soft_dice", "cross_entropy_and_dice"]

_MASK_VALUES = 256


class SoftDice(nn.Module):
    """One minus the smooth Dice coefficient of softmax probabilities p and truth t (Milletari et al. 2016).

    ``(2 sum p t + s) / (sum p + sum t + s)``, summed over all pixels of a batch, averaged over the outputs that the
    batch shows, the background among them. Most batches lack some class: with those, or summed over single sheets, the
    loss soon has a network that finds nothing, and its gradient vanishes there. In training mode the batch is that of
    all processes that train together.
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.smoothing = smoothing

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Map logits [B, M, h, w] and outputs [B, h, w] to a scalar in 0..1."""
        predicted = torch.softmax(logits, dim=1)
        truth = torch.arange(logits.shape[1], device=logits.device)[:, None, None] == targets[:, None]
        sums = torch.stack([values.sum(dim=(0, 2, 3)) for values in (predicted * truth, predicted, truth.float())])
        both, claimed, true = sum_over_processes(sums) if self.training else sums
        dice = (2 * both + self.smoothing) / (claimed + true + self.smoothing)
        loss: torch.Tensor = 1 - dice[true > 0].mean()
        return loss


class CrossEntropyAndDice(nn.Module):
    """The sum of cross-entropy and smooth Dice loss (Isensee et al. 2021, nnU-Net).

    Cross-entropy alone, a mean over pixels of which few have a class, is hardly lower for finding a rare class.
    """

    def __init__(self, smoothing: float) -> None:
        super().__init__()
        self.cross_entropy, self.soft_dice = nn.CrossEntropyLoss(), SoftDice(smoothing)

    def forward(self, logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        """Map logits [B, M, h, w] and outputs [B, h, w] to a scalar."""
        total: torch.Tensor = self.cross_entropy(logits, targets) + self.soft_dice(logits, targets)
        return total


def build_loss(loss: Loss, smoothing: float) -> nn.Module:
    """Build a loss by its name; ``smoothing`` is that of its Dice coefficient."""
    if loss == "cross_entropy":
        return nn.CrossEntropyLoss()
    return SoftDice(smoothing) if loss == "soft_dice" else CrossEntropyAndDice(smoothing)


def label_every_pixel(masks: np.ndarray, classes: Sequence[int], loss: Loss, smoothing: float) -> Objective:
    """Label every pixel with one class or the background.

    The accuracy of a sheet is the exact Dice coefficient of its most probable labels, see `mean_dice`.

    Args:
        masks: uint8 bit field [N, h, w], bit k-1 = class k.
        classes: The class of each output after the background.
        loss: ``cross_entropy``, the mean over pixels; ``soft_dice``, see `SoftDice`; or their sum.
        smoothing: Of the Dice coefficient.
    """

    def load_targets(part: Examples) -> torch.Tensor:
        labels = pixel_labels(apply_flips(masks[part.rows], part.flip_h, part.flip_v), classes)
        return torch.from_numpy(labels.astype(np.int64))

    return Objective(load_targets, build_loss(loss, smoothing), mean_dice)


def pixel_labels(masks: np.ndarray, classes: Sequence[int]) -> np.ndarray:
    """Give each pixel of bit fields uint8 [..., h, w] one output, uint8: 0 without a class, j with the j-th class.

    A pixel of several classes gets the first of them.
    """
    values = np.arange(_MASK_VALUES)
    table = np.zeros(_MASK_VALUES, np.uint8)
    for output, number in reversed(list(enumerate(classes, start=1))):
        table[values >> (number - 1) & 1 == 1] = output
    labels: np.ndarray = table[masks]
    return labels


def mean_dice(logits: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
    """Average the exact Dice of the most probable labels over each sheet's classes: float [B] in 0..1.

    Its classes are those that are there or predicted; a sheet with neither counts 1. Absent classes that are rightly
    not predicted do not count: with them a network that finds nothing would be hard to beat.
    """
    n_sheets, n_outputs = logits.shape[:2]
    predicted = logits.max(dim=1).indices  # a tenth of argmax's time on a CPU
    sheet = torch.arange(n_sheets, device=logits.device)[:, None, None]
    pairs = torch.bincount(
        ((sheet * n_outputs + targets) * n_outputs + predicted).flatten(), minlength=n_sheets * n_outputs**2
    )
    counts = pairs.view(n_sheets, n_outputs, n_outputs)  # [B, true, predicted]
    both, total = counts.diagonal(dim1=1, dim2=2)[:, 1:], (counts.sum(dim=1) + counts.sum(dim=2))[:, 1:]
    n_shown = (total > 0).sum(dim=1)
    dice = (2 * both / total.clamp(min=1)).sum(dim=1)
    return torch.where(n_shown > 0, dice / n_shown.clamp(min=1), 1.0)
