"""How much of a picture's energy lies at high spatial frequencies."""

import numpy as np

_FLAT = 1e-6
"""Standard deviation under the window below which a picture, 0..1, counts as flat: rounding makes as much."""


def high_frequency_share(pictures: np.ndarray, cutoff: float) -> np.ndarray:
    """Compute the share of spectral energy at spatial frequencies above a cut-off.

    Each picture loses its mean under a Hann window and is multiplied by it, so that its borders, which do not fit each
    other, add no frequencies of their own; the energy is the squared magnitude of the discrete Fourier transform.

    Args:
        pictures: Greyscale [n, h, w], values 0..1.
        cutoff: In cycles a pixel, for the length of the frequency vector; 0.5 is the finest stripe along an axis.

    Returns:
        Shares [n] in 0..1, NaN for a picture that is flat under the window.
    """
    height, width = pictures.shape[1:]
    window = np.outer(np.hanning(height), np.hanning(width))
    values = np.asarray(pictures, np.float64)
    mean = (values * window).sum(axis=(1, 2)) / window.sum()
    seen = (values - mean[:, None, None]) * window
    energy = np.abs(np.fft.fft2(seen)) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width))
    flat = (seen**2).sum(axis=(1, 2)) < _FLAT**2 * (window**2).sum()
    total = np.where(flat, 1, energy.sum(axis=(1, 2)))
    return np.where(flat, np.nan, energy[:, frequency > cutoff].sum(axis=1) / total)
