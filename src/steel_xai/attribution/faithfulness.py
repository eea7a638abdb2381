"""Whether maps are faithful to the network: what its answer does when pixels go, and the maps when its weights go.

Petsiuk, Das and Saenko 2018, RISE (BMVC), for insertion and deletion; Adebayo et al. 2018, Sanity Checks for Saliency
Maps (NeurIPS), for cascading randomisation.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.attribution import BATCH_PARAMETER
from steel_xai.attribution.convention import absence
from steel_xai.attribution.stability import centred_ranks, correlate_ranks
from steel_xai.intervals import FEWEST_VALUES, mean_with_interval
from steel_xai.memory import BatchSize, in_batches

Explain = Callable[[nn.Module, torch.Tensor, torch.Tensor], Mapping[str, np.ndarray]]
"""From network, images [n, 3, H, W] and targets [n] to maps [n, H, W] of each method."""

ToEvidence = Callable[[np.ndarray, str], np.ndarray]
"""From signed maps [n, H, W] and the name of their method to maps that are never negative, see ``convention``."""

RANDOM = "random"
"""The row of pixels in random order, which every method has to beat."""


def insertion_deletion(
    network: nn.Module,
    images: torch.Tensor,
    targets: torch.Tensor,
    maps: Mapping[str, np.ndarray],
    *,
    steps: int,
    fill: Literal["mean", "blur"],
    seed: int,
    batch_size: int,
) -> pd.DataFrame:
    """Follow the target's probability while pixels are deleted from the image, or inserted into the fill, best first.

    Pixels are ranked by the map's values from high to low. Pixels of equal value go in random order, the same for all
    maps of an image: as they lie they would go row by row. A faithful map makes the probability fall fast on deletion
    and rise fast on insertion.

    Args:
        network: In evaluation mode, on the images' device.
        images: Normalised, float32 [n, 3, H, W].
        targets: Class explained of each image, [n].
        maps: Evidence [n, H, W] of each method, see ``convention``: the higher, the more it counts.
        steps: Equal shares of pixels that go one after the other.
        fill: What stands where pixels are missing: the image's ``mean`` in each channel, or its ``blur``.
        seed: Of the random orders.
        batch_size: Changed images that the network sees at a time.

    Returns:
        One row a point of a curve: ``method`` (``random`` besides the given ones), ``image`` (0..n-1), ``curve``
        (``insertion`` or ``deletion``), ``share`` of the pixels that have gone (0 to 1), ``probability``.
    """
    tables = []
    batch = BatchSize(batch_size, BATCH_PARAMETER)
    for k in tqdm(range(len(images)), desc="insertion and deletion", unit="sheet"):
        image, target = images[k], int(targets[k])
        filled = absence(image[None], fill)[0]
        shuffled = np.random.default_rng([seed, k]).permutation(image[0].numel())
        orders = {method: _best_first(of_method[k], shuffled) for method, of_method in maps.items()}
        orders[RANDOM] = shuffled
        gone = _first_shares(np.stack(list(orders.values())), steps).reshape(-1, *image.shape[1:])
        nothing = np.zeros(image.shape[1:], bool)
        ends = _probabilities(network, image, filled, np.stack([nothing, ~nothing]), target, batch)
        for curve, pair in (("insertion", (image, filled)), ("deletion", (filled, image))):
            between = _probabilities(network, *pair, gone, target, batch).reshape(len(orders), steps - 1)
            first, last = ends if curve == "insertion" else ends[::-1]
            for method, inner in zip(orders, between, strict=True):
                points = {"share": np.linspace(0, 1, steps + 1), "probability": np.r_[first, inner, last]}
                tables.append(pd.DataFrame({"method": method, "image": k, "curve": curve, **points}))
    return pd.concat(tables, ignore_index=True)


def curve_areas(curves: pd.DataFrame) -> pd.DataFrame:
    """Compute the area under each curve of ``insertion_deletion`` by the trapezoidal rule, 0 to 1.

    Returns:
        One row a method and image: ``method, image, insertion, deletion``; high insertion and low deletion are good.
    """
    areas = curves.groupby(["method", "image", "curve"], sort=False)[["share", "probability"]].apply(
        lambda points: np.trapezoid(points["probability"], points["share"])
    )
    table = areas.unstack("curve")[["insertion", "deletion"]].reset_index()
    return table.rename_axis(columns=None)


def summarise_areas(areas: pd.DataFrame, *, n_samples: int, seed: int) -> pd.DataFrame:
    """Average the areas of ``curve_areas`` over the images and compare each method with the random order.

    Args:
        areas: One row a method and image.
        n_samples: Resamples of the images behind the intervals.
        seed: Of the resamples.

    Returns:
        One row a method: ``method``; ``insertion`` and ``deletion``, mean areas; ``insertion_gain`` and
        ``deletion_gain``, by how much they are better than the random order's on the same images (positive is better
        in both); each with its 95 % bootstrap interval ``_low, _high``; ``n`` images.
    """
    by_method = {
        method: rows.set_index("image")[["insertion", "deletion"]]
        for method, rows in areas.groupby("method", sort=False)
    }
    rows = []
    for method, of_method in by_method.items():
        row: dict[str, object] = {"method": method}
        for curve, sign in (("insertion", 1), ("deletion", -1)):
            values, gains = of_method[curve], sign * (of_method[curve] - by_method[RANDOM][curve])
            for name, column in ((curve, values), (f"{curve}_gain", gains)):
                summary = mean_with_interval(column.to_numpy(), n_samples, seed, fewest=FEWEST_VALUES)
                row |= {name: summary["mean"], f"{name}_low": summary["low"], f"{name}_high": summary["high"]}
        rows.append({**row, "n": len(of_method)})
    return pd.DataFrame(rows)


def cascading_randomisation(
    explain: Explain,
    cascade: Iterable[tuple[str, nn.Module]],
    images: torch.Tensor,
    targets: torch.Tensor,
    reference_maps: Mapping[str, np.ndarray],
    *,
    to_evidence: ToEvidence,
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Measure how much of the trained network's maps is left as its layers are randomised from the top.

    A map that hardly changes does not show what the network has learned.

    Args:
        explain: Computes the maps.
        cascade: Name of the last layer randomised, and the network with all layers from the top down to that one
            randomised; may change one and the same network from step to step.
        images: Normalised, float32 [n, 3, H, W].
        targets: Class explained of each image, [n].
        reference_maps: Signed, of the trained network, [n, H, W] for each method.
        to_evidence: Makes of a map what masks and scores are made of.
        n_samples: Resamples of the images behind the intervals.
        seed: Of the resamples.

    Returns:
        One row a depth and method: ``method``; ``depth``, number of layers randomised, from 1; ``layer``, the last of
        them; ``correlation``, rank correlation with the trained network's signed map, mean over images, and
        ``evidence_correlation``, that of the evidence, what one looks at; each with its 95 % bootstrap interval
        ``_low, _high`` and the number ``_n`` of images that define it, those where neither map is constant; NaN where
        too few do. No row, but the same columns, for no methods.
    """
    # Ranking takes most of the time, and the trained network's maps are compared with at every depth.
    reference_ranks = {
        method: (centred_ranks(of_method), centred_ranks(to_evidence(of_method, method)))
        for method, of_method in reference_maps.items()
    }
    names = ("correlation", "evidence_correlation")
    columns = ["method", "depth", "layer", *(f"{name}{end}" for name in names for end in ("", "_low", "_high", "_n"))]
    rows = []
    steps = tqdm(cascade, desc="randomisation", unit="layer") if reference_maps else ()
    for depth, (layer, network) in enumerate(steps, start=1):
        maps = explain(network, images, targets)
        for method, ranks in reference_ranks.items():
            row: dict[str, object] = {"method": method, "depth": depth, "layer": layer}
            for name, of_reference, found in zip(
                names, ranks, (maps[method], to_evidence(maps[method], method)), strict=True
            ):
                values = correlate_ranks(of_reference, centred_ranks(found))
                summary = mean_with_interval(values, n_samples, seed, fewest=FEWEST_VALUES)
                row[name] = summary.pop("mean")
                row |= {f"{name}_{part}": value for part, value in summary.items()}
            rows.append(row)
    return pd.DataFrame(rows, columns=columns)


def _best_first(image_map: np.ndarray, shuffled: np.ndarray) -> np.ndarray:
    """Order the pixels by value from high to low, equal ones as in ``shuffled``: indices [H * W]."""
    return np.asarray(shuffled[np.argsort(-image_map.ravel()[shuffled], kind="stable")])


def _first_shares(orders: np.ndarray, steps: int) -> np.ndarray:
    """Mark the pixels that come first in each order [M, P], up to each step between: bool [M, steps - 1, P]."""
    rank = np.argsort(orders, axis=1)
    counts = np.round(np.arange(1, steps) * orders.shape[1] / steps)
    return np.asarray(rank[:, None] < counts[:, None])


def _probabilities(
    network: nn.Module, upper: torch.Tensor, lower: torch.Tensor, shown: np.ndarray, target: int, batch: BatchSize
) -> np.ndarray:
    """Compute the target's probability of mixtures: image ``upper`` where ``shown`` [B, H, W], ``lower`` elsewhere."""
    # Height, width, channels: a permuted view of the mixtures is then in the channels-last memory format.
    upper, lower = (image.permute(1, 2, 0).contiguous() for image in (upper, lower))
    choice = torch.from_numpy(shown).to(upper.device)

    def judge(part: slice) -> torch.Tensor:
        mixtures = torch.where(choice[part, ..., None], upper, lower).permute(0, 3, 1, 2)
        return torch.softmax(network(mixtures), dim=1)[:, target]

    with torch.inference_mode():
        found = torch.cat([probabilities for _, probabilities in in_batches(judge, len(shown), batch)])
    return found.double().cpu().numpy()
