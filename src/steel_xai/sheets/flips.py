"""Further training examples of rare classes: copies of their sheets, flipped left-right and top-down.

The flips of a copy are recorded in the split and applied when a batch is read, to sheet and mask alike
(`steel_xai.batches.apply_flips`), so that a copy takes no memory.
"""

from collections.abc import Mapping
from typing import Literal

import numpy as np
import pandas as pd
from numpy.polynomial import Polynomial
from numpy.typing import NDArray

FlipMode = Literal["random", "orbit"]

_P = Polynomial([0, 1])
ALL_DIFFER = 2 * _P**2 * (1 - _P) ** 2 + 4 * _P**3 * (1 - _P)
"""f(p): probability that a sheet and two copies, each flipped in either direction with probability p, all differ.

Both copies must be flipped, and unlike each other: one left-right and one top-down (two orders, p^2 (1-p)^2 each), or
one in both directions and one in a single one (four orders, p^3 (1-p) each). Grimaldi's study, section on augmentation.
"""

_ORBIT = np.array([[0, 0], [1, 0], [0, 1], [1, 1]])
"""The distinct flips (left-right, top-down), the identity first."""


def flip_probability() -> float:
    """Find the p in 0..1 that maximises `ALL_DIFFER`; its closed form is 1/sqrt(2), where f is 1/2."""
    stationary = ALL_DIFFER.deriv().roots()
    candidates = np.array([0.0, 1.0, *stationary.real[(stationary.real > 0) & (stationary.real < 1)]])
    return float(candidates[np.argmax(ALL_DIFFER(candidates))])


def flipped_copies(
    split: pd.DataFrame, extra_copies: Mapping[int, int], mode: FlipMode, probability: float, seed: int
) -> pd.DataFrame:
    """Append flipped copies of training sheets; validation and test sheets are never copied.

    ``random`` flips each copy left-right and top-down, each with ``probability`` and independently. ``orbit`` goes
    through all distinct flips before any repeats: the three that differ from the sheet itself in random order, the
    identity, then all four in a new random order, and so on. A sheet's flips depend on the seed and its row alone:
    neither other sheets nor the number of copies change them.

    Args:
        split: ``row, image_id, label, split, copy, flip_h, flip_v`` without copies, as `split_sheets` draws it.
        extra_copies: Label -> copies of each of its training sheets beside the sheet itself.
        mode: How flips are chosen.
        probability: Of either flip in ``random``.
        seed: Same seed, same flips.

    Returns:
        The split as it was, then the copies by row and ``copy`` (1, 2, ...); ``flip_h`` and ``flip_v`` are 0 or 1.
    """
    train = split[split["split"] == "train"].sort_values("row", kind="stable")
    counts = train["label"].map(dict(extra_copies)).fillna(0).astype(np.int64).to_numpy()
    if not counts.any():
        return split
    flips = np.concatenate(
        [_flips(mode, n, probability, _generator(seed, row)) for row, n in zip(train["row"], counts, strict=True)]
    )
    copies = train.iloc[np.repeat(np.arange(len(train)), counts)].assign(
        copy=np.concatenate([np.arange(1, n + 1) for n in counts]), flip_h=flips[:, 0], flip_v=flips[:, 1]
    )
    return pd.concat([split, copies], ignore_index=True)


def count_distinct(split: pd.DataFrame) -> pd.DataFrame:
    """Count the training pictures of each label; two copies of a sheet with the same flips are one picture.

    Returns:
        ``label, sheets, copies, distinct_pictures``, a row a label; the last counts the sheets themselves, too.
    """
    train = split[split["split"] == "train"]
    counts = pd.DataFrame(
        {
            "sheets": (train["copy"] == 0).groupby(train["label"]).sum(),
            "copies": (train["copy"] > 0).groupby(train["label"]).sum(),
            "distinct_pictures": train.drop_duplicates(["row", "flip_h", "flip_v"]).groupby("label").size(),
        }
    )
    return counts.rename_axis("label").reset_index()


def _generator(seed: int, row: int) -> np.random.Generator:
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(row,)))


def _flips(mode: FlipMode, n: int, probability: float, rng: np.random.Generator) -> NDArray[np.int64]:
    """Choose (left-right, top-down) of ``n`` copies of one sheet: 0 or 1, ``[n, 2]``."""
    if mode == "random":
        return (rng.random((n, 2)) < probability).astype(np.int64)
    rounds = [rng.permutation(_ORBIT[1:]), _ORBIT[:1], *(rng.permutation(_ORBIT) for _ in range((n - 1) // 4))]
    return np.concatenate(rounds)[:n]
