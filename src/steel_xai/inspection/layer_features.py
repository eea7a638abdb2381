"""Outputs of a network's modules, each reduced to a vector of bounded length for every sheet."""

from collections.abc import Callable, Sequence
from functools import cache

import numpy as np
import torch
from torch import nn
from torch.nn import functional
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch
from steel_xai.device import autocast, keep_freed_memory
from steel_xai.inspection.modules import recorded
from steel_xai.memory import BatchSize, in_batches


def layer_features(
    network: nn.Module,
    sheets: np.ndarray,
    examples: Examples,
    modules: Sequence[str],
    *,
    n_features: int,
    batch_size: int,
    device: torch.device,
    seed: int,
) -> dict[str, np.ndarray]:
    """Compute what modules put out for examples, reduced as ``reducer`` does, in one pass through the sheets.

    No more than one batch of activations is held.

    Args:
        network: In evaluation mode afterwards; on ``device``.
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        examples: Sheets and their flips.
        modules: Names of the modules.
        n_features: Greatest length D of a vector.
        batch_size: Sheets at a time.
        device: Where the network runs.
        seed: Of the random projections.

    Returns:
        By module, float32 [n, D].

    Raises:
        InputError: Not even one sheet fits into the device's memory.
    """
    keep_freed_memory(device)
    network.eval()
    reduce = reducer(n_features, seed)
    parts: dict[str, list[np.ndarray]] = {module: [] for module in modules}

    def of_sheets(part: slice) -> dict[str, np.ndarray]:
        network(load_batch(sheets, examples.take(np.arange(part.start, part.stop)), device))
        return {module: outputs[module].cpu().numpy() for module in modules}

    with (
        tqdm(total=len(examples), desc="layers", unit="sheet") as bar,
        recorded(network, modules, reduce) as outputs,
        torch.inference_mode(),
        autocast(device),
    ):
        for part, found in in_batches(of_sheets, len(examples), BatchSize(batch_size, "inspection.batch_size")):
            for module, features in found.items():
                parts[module].append(features)
            bar.update(part.stop - part.start)
    return {module: np.concatenate(part) for module, part in parts.items()}


def reducer(n_features: int, seed: int) -> Callable[[torch.Tensor], torch.Tensor]:
    """Make the function that reduces a module's output to vectors float32 [B, D] with D <= ``n_features``.

    Maps [B, C, h, w] are divided into as many nearly square cells as fit, and mean and maximum of each channel in each
    cell are taken: the mean alone loses small defects in early layers. Tokens [B, T, C] count as a map of height 1.
    Where the vector is still too long, a Gaussian random projection shortens it, which keeps distances (Johnson and
    Lindenstrauss 1984); vectors of one length are always projected by the same matrix.
    """

    @cache
    def projection(length: int) -> torch.Tensor:
        from sklearn.random_projection import GaussianRandomProjection

        fitted = GaussianRandomProjection(n_features, random_state=seed).fit(np.zeros((1, length)))
        return torch.from_numpy(fitted.components_.T.astype(np.float32))

    def reduce(output: torch.Tensor) -> torch.Tensor:
        vectors = _pooled(output.float(), n_features)
        length = vectors.shape[1]
        # In full precision also where an autocast is on.
        with torch.autocast(vectors.device.type, enabled=False):
            return vectors if length <= n_features else vectors @ projection(length).to(vectors.device)

    return reduce


def _pooled(output: torch.Tensor, n_features: int) -> torch.Tensor:
    """Flatten vectors; take mean and maximum of maps and tokens, cell by cell."""
    if output.ndim == 3:
        output = output.transpose(1, 2).unsqueeze(2)
    if output.ndim != 4 or output.shape[2:].numel() == 1:
        return output.flatten(1)
    channels, height, width = output.shape[1:]
    grid = _grid(height, width, max(1, n_features // (2 * channels)))
    pooled = [functional.adaptive_avg_pool2d(output, grid), functional.adaptive_max_pool2d(output, grid)]
    return torch.cat([part.flatten(1) for part in pooled], dim=1)


def _grid(height: int, width: int, cells: int) -> tuple[int, int]:
    """Divide a map into at most ``cells`` nearly square cells: numbers of rows and columns."""
    rows = min(height, cells, max(1, round((cells * height / width) ** 0.5)))
    return rows, min(width, cells // rows)
