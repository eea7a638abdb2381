"""What single filters do on real sheets: how strongly and where each sheet activates them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch
from steel_xai.errors import InputError
from steel_xai.inspection.activation_maximisation import frozen_copy
from steel_xai.inspection.modules import recorded
from steel_xai.memory import BatchSize, in_batches

_CONSTANT = 1e-5
"""Share of a filter's greatest output by which it must vary to count as active: rounding alone stays below."""


@dataclass(frozen=True)
class SheetActivations:
    """A layer's maps of N sheets, reduced over their positions; C filters.

    Attributes:
        rows: The sheets, [N].
        mean: Mean of each map, [N, C].
        peak: Greatest value of each map, [N, C].
        cell: Position of the peak, counted row by row, [N, C].
        least: Smallest value of each filter on any sheet, [C].
        shape: Height and width of the maps in cells.
    """

    rows: np.ndarray
    mean: np.ndarray
    peak: np.ndarray
    cell: np.ndarray
    least: np.ndarray
    shape: tuple[int, int]

    def active(self) -> np.ndarray:
        """List the filters that some sheet activates: above zero, and not everywhere the same."""
        greatest = self.peak.max(axis=0)
        return np.flatnonzero((greatest > 0) & (greatest - self.least > _CONSTANT * greatest))

    def strongest(self, channel: int, n: int) -> list[tuple[int, tuple[int, int]]]:
        """Return the n sheets with a filter's highest peaks, strongest first, and where: the cell's row and column."""
        order = np.argsort(-self.peak[:, channel], kind="stable")[:n]
        return [(int(self.rows[i]), divmod(int(self.cell[i, channel]), self.shape[1])) for i in order]


def activate_sheets(
    network: nn.Module,
    layers: Sequence[str],
    sheets: np.ndarray,
    rows: np.ndarray,
    *,
    batch_size: int,
    device: torch.device,
) -> dict[str, SheetActivations]:
    """Measure every filter of some layers on sheets, in one pass whose memory does not grow with the sheets' size.

    Args:
        network: Takes normalised images [B, 3, h, w].
        layers: Names of modules whose outputs are [B, C, h, w].
        sheets: uint8 [N, C, h, w].
        rows: Which sheets.
        batch_size: Sheets a forward pass.
        device: Where the network runs.

    Raises:
        InputError: A layer has no maps, or not even one sheet fits into the device's memory.
    """
    frozen = frozen_copy(network, layers).to(device)
    parts: dict[str, list[list[np.ndarray]]] = {layer: [] for layer in layers}
    shapes: dict[str, tuple[int, int]] = {}

    def run(part: slice) -> int:
        chosen = rows[part]
        unflipped = np.zeros(len(chosen), dtype=bool)
        frozen(load_batch(sheets, Examples(chosen, np.zeros_like(chosen), unflipped, unflipped), device))
        return len(chosen)

    with (
        tqdm(total=len(rows), desc="filters on sheets", unit="sheet") as bar,
        torch.inference_mode(),
        recorded(frozen, layers, lambda output: output) as outputs,
    ):
        for _, n in in_batches(run, len(rows), BatchSize(batch_size, "inspection.batch_size")):
            bar.update(n)
            for layer in layers:
                if outputs[layer].ndim != 4:
                    raise InputError(
                        f"inspection: {layer} has no maps (its output has {outputs[layer].ndim} dimensions, not 4); "
                        "choose layers of the feature extractor"
                    )
                shapes[layer] = (outputs[layer].shape[2], outputs[layer].shape[3])
                maps = outputs[layer].flatten(2)
                greatest = maps.max(dim=2)
                found = (maps.mean(dim=2), greatest.values, greatest.indices, maps.amin(dim=(0, 2))[None])
                parts[layer].append([values.cpu().numpy() for values in found])
    activations = {}
    for layer, measured in parts.items():
        mean, peak, cell, least = (np.concatenate(values) for values in zip(*measured, strict=True))
        activations[layer] = SheetActivations(rows, mean, peak, cell, least.min(axis=0), shapes[layer])
    return activations
