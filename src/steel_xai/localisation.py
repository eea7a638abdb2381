"""Where the defect is: trivial maps that need no model, masks from maps, and scores of maps against masks.

The trivial maps are the controls that every explanation has to beat.
"""

import numpy as np
from numpy.typing import NDArray

BLACK_LEVEL = 12
"""Grey level up to which a pixel counts as black, as it is where the camera sees no sheet."""

LOCAL_MEAN_SIGMA, SMOOTHING_SIGMA = 8, 2
"""Standard deviations in tensor pixels: of the Gaussian of the local mean, and of the one that smooths the contrast."""

FloatMap = NDArray[np.float32]
BoolMap = NDArray[np.bool_]


def sheet_region(sheets: NDArray[np.uint8]) -> BoolMap:
    """Pixels that show sheet, not the black end: bool ``[N, h, w]`` for greyscale ``[N, h, w]``.

    The black end is the run of dark columns from the left or right, widened by 2 columns for a slanted edge.
    """
    dark = np.median(sheets, axis=1) < BLACK_LEVEL
    from_left = np.cumprod(dark, axis=1)
    from_right = np.cumprod(dark[:, ::-1], axis=1)[:, ::-1]
    black = np.pad((from_left | from_right).astype(bool), ((0, 0), (2, 2)))
    width = sheets.shape[2]
    widened = np.logical_or.reduce([black[:, shift : shift + width] for shift in range(5)])
    return np.broadcast_to(~widened[:, None, :], sheets.shape)


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


def threshold_mask(maps: FloatMap, k: float) -> BoolMap:
    """Pixels above the map's mean + ``k`` standard deviations, for each map of ``[N, h, w]``."""
    mean = maps.mean(axis=(1, 2), keepdims=True)
    deviation = maps.std(axis=(1, 2), keepdims=True)
    return np.asarray(maps > mean + k * deviation)


def dice(predicted: NDArray[np.generic], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Dice coefficient ``2 |X and Y| / (|X| + |Y|)`` of each pair of masks ``[N, h, w]``, 0 to 1, ``[N]``.

    An empty truth has no right answer here and scores nan.
    """
    found, true = np.asarray(predicted) != 0, np.asarray(truth) != 0
    total = found.sum(axis=(1, 2)) + true.sum(axis=(1, 2))
    both = (found & true).sum(axis=(1, 2))
    return np.where(true.any(axis=(1, 2)), 2 * both / np.maximum(total, 1), np.nan)


def pixel_average_precision(maps: NDArray[np.floating], truth: NDArray[np.generic]) -> NDArray[np.float64]:
    """Average precision over the pixels of each map ``[N, h, w]`` as a detector of its mask, 0 to 1, ``[N]``.

    The sum over recall steps of precision (no interpolation); pixels of equal value count as one step, so the order
    of ties does not matter. A constant map scores the mask's share. An empty mask scores nan.
    """
    n = len(maps)
    values = np.asarray(maps).reshape(n, -1)
    order = np.argsort(-values, axis=1, kind="stable")
    ranked = np.take_along_axis(values, order, axis=1)
    hits = np.take_along_axis((np.asarray(truth) != 0).reshape(n, -1), order, axis=1)
    cumulated = np.cumsum(hits, axis=1)
    precision = cumulated / np.arange(1, values.shape[1] + 1)
    # The precision of a pixel is the one at the end of its run of ties.
    is_end = np.concatenate([ranked[:, 1:] != ranked[:, :-1], np.ones((n, 1), dtype=bool)], axis=1)
    positions = np.where(is_end, np.arange(values.shape[1]), values.shape[1] - 1)
    ends = np.minimum.accumulate(positions[:, ::-1], axis=1)[:, ::-1]
    score = (np.take_along_axis(precision, ends, axis=1) * hits).sum(axis=1)
    n_hits = cumulated[:, -1]
    return np.where(n_hits > 0, score / np.maximum(n_hits, 1), np.nan)
