"""Where the defect is: trivial maps that need no model, masks from maps, and scores of maps against masks.

The trivial maps are the controls that every explanation has to beat. A map here is evidence for the defect: finite and
never negative. Every score of a map against its mask is 0 to 1, and nan where the mask is empty: there is nothing to
find. An empty or constant map has a score like any other.
"""

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

BLACK_LEVEL = 12
"""Grey level up to which a pixel counts as black, as it is where the camera sees no sheet."""

LOCAL_MEAN_SIGMA, SMOOTHING_SIGMA = 8, 2
"""Standard deviations in tensor pixels: of the Gaussian of the local mean, and of the one that smooths the contrast."""

_BLACK_EDGE_SLANT = 2
"""Columns by which a slanted edge may reach beyond the columns that are dark over most of their height."""

FloatMap = NDArray[np.float32]
BoolMap = NDArray[np.bool_]
Counts = NDArray[np.int64]


def sheet_region(sheets: NDArray[np.uint8]) -> BoolMap:
    """Pixels that show sheet, not the black end: bool ``[N, h, w]`` for greyscale ``[N, h, w]``.

    The black end is the run of dark columns from the left or right, widened by 2 columns for a slanted edge.
    """
    reach = _BLACK_EDGE_SLANT
    black = np.pad(_black_columns(sheets), ((0, 0), (reach, reach)))
    width = sheets.shape[2]
    widened = np.logical_or.reduce([black[:, shift : shift + width] for shift in range(2 * reach + 1)])
    return np.broadcast_to(~widened[:, None, :], sheets.shape)


def near_black_edge(sheets: NDArray[np.uint8], reach: float) -> NDArray[np.bool_]:
    """Columns that lie within ``reach`` columns of the edge between sheet and black end, on either side of it.

    Args:
        sheets: Greyscale ``[N, h, w]``.
        reach: In tensor pixels.

    Returns:
        ``[N, w]``. A sheet without a black end, or black all over, has no edge and no such column.
    """
    black = _black_columns(sheets)
    width = black.shape[1]
    from_edge = np.abs(np.arange(width) + 0.5 - np.arange(1, width)[:, None]) <= reach  # [edge, column]
    is_edge = black[:, 1:] != black[:, :-1]
    return np.asarray(is_edge.astype(np.float32) @ from_edge.astype(np.float32) > 0)


def _black_columns(sheets: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Columns ``[N, w]`` of the runs from the left and from the right that are dark over most of their height."""
    dark = np.median(sheets, axis=1) < BLACK_LEVEL
    from_left = np.cumprod(dark, axis=1)
    from_right = np.cumprod(dark[:, ::-1], axis=1)[:, ::-1]
    return (from_left | from_right).astype(bool)


def median_deviation(sheets: NDArray[np.uint8]) -> FloatMap:
    """Absolute difference from the sheet's median grey level; 0 on the black end.

    Args:
        sheets: Greyscale ``[N, h, w]``.

    Returns:
        Grey levels ``[N, h, w]``, 0 to 255. The median is taken without the black end; a sheet that is black all
        over gives zeros.
    """
    region = sheet_region(sheets)
    medians = np.array(
        [np.median(sheet[shown]) if shown.any() else 0 for sheet, shown in zip(sheets, region, strict=True)]
    )
    deviation = np.abs(sheets - medians[:, None, None].astype(np.float32))
    return np.where(region, deviation, 0).astype(np.float32)


def local_contrast(sheets: NDArray[np.uint8]) -> FloatMap:
    """Absolute difference from the local mean, smoothed; 0 on the black end.

    The local mean is a Gaussian's of sheet pixels only (normalised convolution), so that the black end does not count
    as contrast.

    Args:
        sheets: Greyscale ``[N, h, w]``.

    Returns:
        Grey levels ``[N, h, w]``, 0 to 255.
    """
    from scipy.ndimage import gaussian_filter

    region = sheet_region(sheets)
    shown = region.astype(np.float32)
    weight = gaussian_filter(shown, (0, LOCAL_MEAN_SIGMA, LOCAL_MEAN_SIGMA))
    mean = gaussian_filter(sheets * shown, (0, LOCAL_MEAN_SIGMA, LOCAL_MEAN_SIGMA)) / np.maximum(weight, 1e-6)
    contrast = gaussian_filter(np.abs(sheets - mean) * shown, (0, SMOOTHING_SIGMA, SMOOTHING_SIGMA))
    return np.asarray(contrast * shown, dtype=np.float32)


def centre_prior(shape: tuple[int, int, int]) -> FloatMap:
    """A bump in the middle of each map of ``[N, h, w]``: a Gaussian of sd a quarter of each side, at most 1."""
    n, height, width = shape
    rows, columns = (np.exp(-0.5 * (4 * ((np.arange(size) + 0.5) / size - 0.5)) ** 2) for size in (height, width))
    return np.broadcast_to(np.outer(rows, columns).astype(np.float32), (n, height, width))


def noise(rows: Iterable[int], size: tuple[int, int], seed: int) -> FloatMap:
    """Uniform noise in 0..1, ``[N, h, w]``: a map for each row number that depends on nothing but it and the seed."""
    return np.stack([np.random.default_rng([seed, row]).random(size, dtype=np.float32) for row in rows])


def smooth(maps: FloatMap, sigma: float) -> FloatMap:
    """Blur each map of ``[N, h, w]`` by a Gaussian of ``sigma`` tensor pixels, mirrored at the borders; 0 leaves it."""
    from scipy.ndimage import gaussian_filter

    return np.asarray(gaussian_filter(maps, (0, sigma, sigma)), dtype=np.float32)


def mean_rank(methods: Sequence[FloatMap]) -> FloatMap:
    """Combine several methods' maps of the same sheets: the mean rank of each pixel, whatever the methods' scales.

    Args:
        methods: Maps ``[N, h, w]`` of each method.

    Returns:
        ``[N, h, w]``, 0 for a pixel that is the least of its sheet in all maps to 1 for one that is the greatest in
        all; pixels of equal value share their mean rank, so that a constant map gives 0.5.
    """
    from scipy.stats import rankdata

    total = np.zeros(methods[0].shape)
    for maps in methods:
        total += rankdata(maps.reshape(len(maps), -1), axis=1).reshape(maps.shape) - 1
    n_pixels = total[0].size
    return np.asarray(total / len(methods) / (n_pixels - 1), dtype=np.float32)


def thresholds(maps: FloatMap, ks: Sequence[float] | NDArray[np.floating]) -> NDArray[np.float64]:
    """Mean + k standard deviations of each map of ``[N, h, w]``, for each of K values of k: ``[N, K]``."""
    # In double precision: gradients may be so small that their squares vanish in single.
    mean = maps.mean(axis=(1, 2), dtype=np.float64)
    deviation = maps.std(axis=(1, 2), dtype=np.float64)
    return np.asarray(mean[:, None] + deviation[:, None] * np.asarray(ks))


def threshold_mask(maps: FloatMap, k: float) -> BoolMap:
    """Pixels above the map's mean + ``k`` standard deviations, for each of ``[N, h, w]``: none if it is constant."""
    # The mean of equal values may come out below them by a rounding error; none of them is above the least.
    above_least = maps > maps.min(axis=(1, 2), keepdims=True)
    return np.asarray((maps > thresholds(maps, [k])[:, :, None]) & above_least)


def recall(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Share of the true mask that is predicted, for each pair of masks ``[N, h, w]``: ``[N]``."""
    both, _, true = _overlap(predicted, truth)
    return _of_defective(both / np.maximum(true, 1), true)


def precision(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Share of the predicted mask that is true, for each pair of masks ``[N, h, w]``: ``[N]``; 0 if it is empty."""
    both, found, true = _overlap(predicted, truth)
    return _of_defective(both / np.maximum(found, 1), true)


def iou(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Intersection over union of each pair of masks ``[N, h, w]``: ``[N]``."""
    both, found, true = _overlap(predicted, truth)
    return _of_defective(both / np.maximum(found + true - both, 1), true)


def dice(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Dice coefficient ``2 |X and Y| / (|X| + |Y|)`` of each pair of masks ``[N, h, w]``: ``[N]``."""
    both, found, true = _overlap(predicted, truth)
    return _of_defective(2 * both / np.maximum(found + true, 1), true)


def pointing_game(maps: FloatMap, truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Whether the greatest value of each map ``[N, h, w]`` lies in its mask (Zhang et al. 2016), ``[N]``.

    Of several greatest pixels the share inside counts, so that a constant map scores the mask's share.
    """
    is_greatest = maps == maps.max(axis=(1, 2), keepdims=True)
    inside, greatest, true = _overlap(is_greatest, truth)
    return _of_defective(inside / greatest, true)


def relevance_mass(maps: FloatMap, truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Share of each map's sum ``[N, h, w]`` that lies in its mask (Arras et al. 2022), ``[N]``: 0 of an empty map."""
    inside = np.asarray(truth) != 0
    total = maps.sum(axis=(1, 2), dtype=np.float64)
    share = (maps * inside).sum(axis=(1, 2), dtype=np.float64) / np.where(total > 0, total, 1)
    return _of_defective(share, inside.sum(axis=(1, 2)))


def pixel_average_precision(maps: NDArray[np.floating], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Average precision over the pixels of each map ``[N, h, w]`` as a detector of its mask, 0 to 1, ``[N]``.

    The sum over recall steps of precision (no interpolation); pixels of equal value count as one step, so the order
    of ties does not matter. A constant map scores the mask's share.
    """
    scores = np.full(len(maps), np.nan)
    for i, (values, mask) in enumerate(zip(maps, np.asarray(truth) != 0, strict=True)):
        inside, everywhere = np.sort(values[mask]), np.sort(values, axis=None)
        if len(inside):
            # The precision at a pixel of the mask is that among all pixels of its value and above.
            hits = len(inside) - np.searchsorted(inside, inside)
            found = len(everywhere) - np.searchsorted(everywhere, inside)
            scores[i] = (hits / found).mean()
    return scores


def _overlap(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> tuple[Counts, Counts, Counts]:
    """Count the pixels that both masks, the predicted one, and the true one hold: three times ``[N]``."""
    found, true = np.asarray(predicted) != 0, np.asarray(truth) != 0
    return (found & true).sum(axis=(1, 2)), found.sum(axis=(1, 2)), true.sum(axis=(1, 2))


def _of_defective(scores: NDArray[np.floating], n_true: NDArray[np.integer]) -> NDArray[np.float64]:
    """Keep the scores of sheets with a mask."""
    return np.where(n_true > 0, scores, np.nan)
