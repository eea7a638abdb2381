"""Run-length encoded masks as Kaggle publishes them.

A mask is text of ``start length`` pairs. Pixels count from 1, down each column first, then to the right.
"""

import numpy as np
from numpy.typing import NDArray

# Any number of more digits is past every image, and would not fit an int64.
_MAX_DIGITS = 18


class RleError(ValueError):
    """A run-length text that is no mask of the image; the message is a short reason."""


def parse_rle(text: str, height: int, width: int) -> NDArray[np.int64]:
    """Read the runs of a mask, strictly.

    Args:
        text: ``start length`` pairs, separated by white space. Empty text is an empty mask.
        height: Height of the image in pixels.
        width: Width of the image in pixels.

    Returns:
        Runs ``[n, 2]`` in ascending order: 0-based start in column-major order, and length in pixels.

    Raises:
        RleError: The numbers are odd in count, not numbers, zero or negative; runs overlap or leave the image.
    """
    tokens = text.split()
    if not all(token.isascii() and token.removeprefix("-").isdigit() for token in tokens):
        raise RleError("RLE is not numeric")
    if len(tokens) % 2:
        raise RleError("RLE has an odd count of numbers")
    if any(token.startswith("-") for token in tokens):
        raise RleError("RLE has a negative number")
    if any(len(token) > _MAX_DIGITS for token in tokens):
        raise RleError(f"RLE leaves the {height}x{width} image")

    runs = np.array([int(token) for token in tokens], dtype=np.int64).reshape(-1, 2)
    if (runs == 0).any():
        raise RleError("RLE has a zero start or length")
    runs[:, 0] -= 1
    runs = runs[np.argsort(runs[:, 0], kind="stable")]
    ends = runs.sum(axis=1)
    if (ends > height * width).any():
        raise RleError(f"RLE leaves the {height}x{width} image")
    if (ends[:-1] > runs[1:, 0]).any():
        raise RleError("RLE has overlapping runs")
    return runs


def draw_runs(runs: NDArray[np.int64], height: int, width: int) -> NDArray[np.uint8]:
    """Draw parsed runs ``[n, 2]`` as a mask ``[height, width]`` of 0 and 1."""
    edges = np.stack([runs[:, 0], runs.sum(axis=1)], axis=1).ravel()
    lengths = np.diff(edges, prepend=0, append=height * width)
    values = np.arange(len(lengths), dtype=np.uint8) & 1
    return np.repeat(values, lengths).reshape(width, height).T


def decode_rle(text: str, height: int, width: int) -> NDArray[np.uint8]:
    """Draw a mask ``[height, width]`` of 0 and 1 from its run-length text.

    Raises:
        RleError: As `parse_rle`.
    """
    return draw_runs(parse_rle(text, height, width), height, width)


def encode_rle(mask: NDArray[np.generic]) -> str:
    """Write a mask ``[height, width]`` (non-zero is on) as run-length text; an empty mask gives empty text."""
    pixels = np.zeros(mask.size + 2, dtype=np.int8)
    pixels[1:-1] = (np.asarray(mask) != 0).ravel(order="F")
    edges = np.flatnonzero(np.diff(pixels)) + 1
    edges[1::2] -= edges[::2]
    return " ".join(map(str, edges.tolist()))
