"""LIME for sheets (Ribeiro, Singh and Guestrin 2016, "Why Should I Trust You?", KDD)."""

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import nn

_KERNEL_WIDTH = 0.25
"""Of the exponential kernel on cosine distances; the package's own for images."""


def lime_maps(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    *,
    n_samples: int,
    n_segments: int,
    seeds: Sequence[int],
    batch_size: int,
) -> np.ndarray:
    """Explain each image by a linear model of its superpixels, fitted to the logits of samples that hide some of them.

    A sample keeps each superpixel with probability 1/2 and paints the others in the image's mean grey. The linear model
    is the package's: ridge regression, samples weighted by sqrt(exp(-d^2 / 0.25^2)), d their cosine distance from the
    whole image.

    The target's logit is explained, as by the other methods: a probability near 0 or 1 hardly answers to anything that
    is hidden, and its maps found defects worse on ten validation sheets of the sample. Superpixels are cells of a grid:
    the package's quickshift makes only some 23 of a sheet, and SLIC found no more than the grid on those ten. Samples
    are painted here, on the images' device, because the package paints cell after cell, which adds a quarter or more to
    the network's own time.

    Args:
        network: In evaluation mode, on the images' device.
        images: Normalised, float32 [N, 3, H, W].
        targets: Class explained of each image, [N].
        n_samples: Samples an image, the whole image being the first.
        n_segments: Superpixels an image, about, as whole rows and columns of nearly square cells allow.
        seeds: Of each image's samples; an image's map does not depend on those beside it.
        batch_size: Samples that the network sees at a time.

    Returns:
        float32 [N, H, W]: at each pixel the signed weight of its superpixel.
    """
    height, width = images.shape[2:]
    segments = grid(height, width, n_segments)
    maps = np.zeros((len(images), height, width), np.float32)
    for k, (image, target, seed) in enumerate(zip(images, targets.tolist(), seeds, strict=True)):
        kept = draw_samples(n_samples, int(segments.max()) + 1, seed)
        logits = _logits(network, image, segments, kept, target, batch_size)
        maps[k] = _segment_weights(kept, logits)[segments]
    return maps


def grid(height: int, width: int, n_segments: int) -> np.ndarray:
    """Number the cells of a grid of nearly square cells from 0: int [height, width], about ``n_segments`` of them."""
    n_rows = min(height, max(1, round(math.sqrt(n_segments * height / width))))
    n_columns = min(width, max(1, round(n_segments / n_rows)))
    rows, columns = np.arange(height) * n_rows // height, np.arange(width) * n_columns // width
    return np.asarray(rows[:, None] * n_columns + columns)


def draw_samples(n_samples: int, n_segments: int, seed: int) -> np.ndarray:
    """Draw which superpixels each sample keeps: 0 or 1, [n_samples, n_segments], all of them in the first."""
    kept = np.random.default_rng(seed).integers(0, 2, (n_samples, n_segments))
    kept[0] = 1
    return kept


def _logits(
    network: nn.Module, image: torch.Tensor, segments: np.ndarray, kept: np.ndarray, target: int, batch_size: int
) -> np.ndarray:
    """Compute the target's logit of every sample of an image, [n_samples]."""
    device = image.device
    # Height, width, channels: a permuted view of the painted samples is then in the channels-last memory format.
    pixels = image.permute(1, 2, 0).contiguous()
    hidden = pixels.mean(dim=(0, 1))
    of_pixel = torch.from_numpy(segments.ravel()).to(device)
    parts = []
    with torch.inference_mode():
        for part in torch.split(torch.from_numpy(kept.astype(bool)).to(device), batch_size):
            shown = part.index_select(1, of_pixel).view(len(part), *segments.shape, 1)
            samples = torch.where(shown, pixels, hidden).permute(0, 3, 1, 2)
            parts.append(network(samples)[:, target].double())
    return torch.cat(parts).cpu().numpy()


def _segment_weights(kept: np.ndarray, logits: np.ndarray) -> np.ndarray:
    """Fit the package's linear model of the logits: the weight of each superpixel, [n_segments]."""
    from lime.lime_base import LimeBase

    def kernel(distances: np.ndarray) -> np.ndarray:
        return np.asarray(np.sqrt(np.exp(-(distances**2) / _KERNEL_WIDTH**2)))

    # Cosine distance from the sample that keeps all.
    distances = 1 - np.sqrt(kept.mean(axis=1))
    _, weights, _, _ = LimeBase(kernel, random_state=0).explain_instance_with_data(
        kept, logits[:, None], distances, 0, kept.shape[1], feature_selection="none"
    )
    found = np.zeros(kept.shape[1])
    for position, weight in weights:
        found[position] = weight
    return found
