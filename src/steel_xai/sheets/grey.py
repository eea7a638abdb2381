"""Colour sheets as greyscale."""

import numpy as np
from numpy.typing import NDArray


def grey_levels(sheets: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take sheets [..., C, h, w] as greyscale [..., h, w]: their one channel, or the mean of several."""
    if sheets.shape[-3] == 1:
        return np.ascontiguousarray(sheets[..., 0, :, :])
    grey: NDArray[np.uint8] = sheets.mean(axis=-3).round().astype(np.uint8)
    return grey
