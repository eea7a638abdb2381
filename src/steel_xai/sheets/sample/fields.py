"""Random fields and soft thresholds: what every texture of the sample is made of."""

import math

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.float32]
Percentiles = tuple[float, float, float]
"""5th, 50th and 95th percentile."""

HEIGHT, WIDTH = 256, 1600
"""Size of a raw sheet in pixels, as in the Kaggle data."""


def smooth_noise(rng: np.random.Generator, height: int, width: int, sigma_y: float, sigma_x: float) -> Image:
    """Gaussian noise ``[height, width]`` of about zero mean and unit sd, correlated over the given lengths in pixels.

    Long correlations are drawn on a coarse grid and enlarged, which costs a fraction of a blur at full size.
    """
    import cv2

    step_y, step_x = max(1, int(sigma_y / 2)), max(1, int(sigma_x / 2))
    grid = rng.standard_normal((math.ceil(height / step_y) + 2, math.ceil(width / step_x) + 2), dtype=np.float32)
    blurred = cv2.GaussianBlur(grid, (0, 0), sigmaX=max(sigma_x / step_x, 0.1), sigmaY=max(sigma_y / step_y, 0.1))
    field = np.asarray((blurred - blurred.mean()) / max(float(blurred.std()), 1e-6), dtype=np.float32)
    if step_y > 1 or step_x > 1:
        enlarged = cv2.resize(field, None, fx=step_x, fy=step_y, interpolation=cv2.INTER_LINEAR)
        field = np.asarray(enlarged, dtype=np.float32)
    return np.ascontiguousarray(field[:height, :width])


def smooth_line(rng: np.random.Generator, length: int, sigma: float) -> Image:
    """One-dimensional `smooth_noise`, ``[length]``."""
    # Blurring a narrow strip of rows and keeping one gives the same statistics as a one-dimensional filter.
    line: Image = smooth_noise(rng, 1, length, 0.1, sigma)[0]
    return line


def soft_step(field: Image, level: float, softness: float) -> Image:
    """0 below ``level``, 1 above it, with a linear ramp of width ``softness`` between."""
    return np.asarray(np.clip((field - level) / softness + 0.5, 0, 1), dtype=np.float32)


def size_between(percentiles: Percentiles, normal: float) -> float:
    """Turn a standard normal variate into a positive size with given 5th, 50th and 95th percentiles.

    A log-normal of two pieces, which keeps the correlation of two sizes that are drawn from correlated variates.
    """
    low, middle, high = percentiles
    ratio = high / middle if normal > 0 else middle / low
    return middle * math.exp(min(max(normal, -2.3), 2.3) / 1.645 * math.log(ratio))
