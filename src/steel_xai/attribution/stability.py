"""How stable explanations are: the same map under another seed, and under noise that nobody would see."""

from collections.abc import Callable, Collection, Mapping, Sequence

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from steel_xai.intervals import FEWEST_VALUES, mean_with_interval

SeededExplain = Callable[[torch.Tensor, torch.Tensor, Sequence[int], Sequence[str]], Mapping[str, np.ndarray]]
"""From images [n, 3, H, W], targets [n], a seed for each image and names of methods to their maps [n, H, W]."""

_OTHER_SEED, _NOISE = 1, 2


def stability(
    explain: SeededExplain,
    images: torch.Tensor,
    targets: torch.Tensor,
    reference_maps: Mapping[str, np.ndarray],
    *,
    seeded: Collection[str],
    to_masks: Callable[[str, np.ndarray], np.ndarray],
    noise: float,
    seeds: Sequence[int],
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Compare the maps of images with those under other seeds, and with those of the images under noise.

    A method without randomness is not computed again for other seeds, under which it agrees with itself. The noise is
    Gaussian and independent in each pixel and channel, as in the training's augmentation; the seeds are then the
    reference's, so that noise is all that differs. Noise and other seeds of an image follow from its own seed.

    Args:
        explain: Computes the maps, image by image.
        images: Normalised, float32 [n, 3, H, W].
        targets: Class explained of each image, [n].
        reference_maps: Of ``explain`` for these images and seeds, [n, H, W] for each method.
        seeded: The methods whose maps depend on a seed.
        to_masks: From a method's name and maps [n, H, W] to its masks, [n, H, W].
        noise: Standard deviation of the noise in normalised grey levels.
        seeds: Of each image's reference maps.
        n_samples: Resamples of the images behind the intervals.
        seed: Of the resamples.

    Returns:
        One row a method: ``method``; ``seed_correlation``, ``seed_iou``, ``noise_correlation``, ``noise_iou``, means
        over the images, each with its 95 % bootstrap interval ``_low, _high`` and the number ``_n`` of images that
        define it: a constant map has no rank correlation, two empty masks no IoU.
    """
    other_seeds = [_derived_seed(of_image, _OTHER_SEED) for of_image in seeds]
    noisy = _add_noise(images, seeds, noise)
    methods = list(reference_maps)
    asked_again = [method for method in methods if method in seeded]
    of_other_seeds, under_noise = [], []
    for k in tqdm(range(len(images)), desc="stability", unit="sheet"):
        one = slice(k, k + 1)
        if asked_again:
            of_other_seeds.append(explain(images[one], targets[one], other_seeds[one], asked_again))
        under_noise.append(explain(noisy[one], targets[one], seeds[one], methods))
    changed = {
        "seed": {**reference_maps, **_joined(of_other_seeds, asked_again)},
        "noise": _joined(under_noise, methods),
    }
    rows = []
    for method, reference in reference_maps.items():
        row: dict[str, object] = {"method": method}
        for change, maps in changed.items():
            agreement = {
                "correlation": rank_correlation(reference, maps[method]),
                "iou": mask_iou(to_masks(method, reference), to_masks(method, maps[method])),
            }
            for name, values in agreement.items():
                summary = mean_with_interval(values, n_samples, seed, fewest=FEWEST_VALUES)
                row[f"{change}_{name}"] = summary.pop("mean")
                row |= {f"{change}_{name}_{part}": value for part, value in summary.items()}
        rows.append(row)
    return pd.DataFrame(rows)


def rank_correlation(maps_a: np.ndarray, maps_b: np.ndarray) -> np.ndarray:
    """Compute Spearman's rank correlation over the pixels of each pair of maps [n, H, W]; equal values share a rank.

    Returns:
        -1 to 1, float64 [n]; NaN where a map is constant or not finite.
    """
    return correlate_ranks(centred_ranks(maps_a), centred_ranks(maps_b))


def centred_ranks(maps: np.ndarray) -> np.ndarray:
    """Rank the pixels of each map [n, H, W], equal values sharing a rank, and subtract the mean rank: [n, H * W]."""
    from scipy.stats import rankdata

    flat = np.where(np.isfinite(maps), maps, np.nan).reshape(len(maps), -1)
    # The mean rank is known and all ranks are multiples of a half, so that a constant map gives exact zeros.
    return np.asarray(rankdata(flat, axis=1) - (flat.shape[1] + 1) / 2)


def correlate_ranks(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Compute the rank correlations [n] of maps from their ``centred_ranks`` [n, P]."""
    with np.errstate(invalid="ignore"):
        return np.asarray((a * b).sum(axis=1) / np.sqrt((a**2).sum(axis=1) * (b**2).sum(axis=1)))


def mask_iou(masks_a: np.ndarray, masks_b: np.ndarray) -> np.ndarray:
    """Compute the intersection over union of each pair of masks [n, H, W].

    Returns:
        0 to 1, float64 [n]; NaN where both are empty: a method that marks nothing is not stable, it says nothing.
    """
    a, b = np.asarray(masks_a) != 0, np.asarray(masks_b) != 0
    either = (a | b).sum(axis=(1, 2))
    return np.where(either > 0, (a & b).sum(axis=(1, 2)) / np.maximum(either, 1), np.nan)


def _joined(of_images: Sequence[Mapping[str, np.ndarray]], methods: Sequence[str]) -> dict[str, np.ndarray]:
    """Put the maps [1, H, W] of single images together: [n, H, W] by method."""
    return {method: np.concatenate([maps[method] for maps in of_images]) for method in methods}


def _derived_seed(seed: int, purpose: int) -> int:
    return int(np.random.SeedSequence([seed, purpose]).generate_state(1)[0])


def _add_noise(images: torch.Tensor, seeds: Sequence[int], noise: float) -> torch.Tensor:
    """Add Gaussian noise of that standard deviation to images [n, 3, H, W], to each from a generator of its own."""
    drawn = np.stack(
        [
            np.random.default_rng([of_image, _NOISE]).standard_normal(images.shape[1:], dtype=np.float32)
            for of_image in seeds
        ]
    )
    return images + noise * torch.from_numpy(drawn).to(images.device)
