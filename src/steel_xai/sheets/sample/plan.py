"""What each sheet of a sample is to show, decided before anything is drawn."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from steel_xai.parameters import SampleParameters

SEVERAL = ((3, 4), (1, 3), (1, 2), (2, 3))
SEVERAL_SHARES = (0.66, 0.22, 0.08, 0.04)
"""Classes that occur together, and how often, among the real sheets with several classes."""


@dataclass(frozen=True)
class Strip:
    """A piece of steel, photographed once or twice."""

    number: int
    classes: tuple[int, ...]
    stained: bool
    frames: int
    folder: str


@dataclass(frozen=True)
class Frame:
    """One picture of a strip."""

    image_id: str
    number: int


def plan_sample(parameters: SampleParameters) -> list[tuple[Strip, list[Frame]]]:
    """Decide classes, stains and repeated frames of every strip, and give each frame a name.

    Shares and rates are met exactly, up to rounding, within the distinct strips. Neither the name nor the order
    of the names tells the class.
    """
    rng = np.random.default_rng([parameters.seed, 0])
    n_repeats = min(round(parameters.near_duplicate_rate * parameters.n_sheets), parameters.n_sheets // 2)
    strips = _strips(rng, parameters, parameters.n_sheets - n_repeats, "train_images", first=0, n_repeats=n_repeats)
    strips += _strips(rng, parameters, parameters.n_unlabelled, "test_images", first=len(strips), n_repeats=0)
    names = _names(rng, sum(strip.frames for strip in strips))
    return [(strip, [Frame(next(names), number) for number in range(strip.frames)]) for strip in strips]


def _strips(
    rng: np.random.Generator, parameters: SampleParameters, n: int, folder: str, first: int, n_repeats: int
) -> list[Strip]:
    keys = rng.permutation(_quotas({str(key): share for key, share in parameters.class_shares.items()}, n))
    stained = np.zeros(n, dtype=bool)
    for defect_free, rate in ((True, parameters.stain_rate.defect_free), (False, parameters.stain_rate.defective)):
        members = np.flatnonzero((keys == "none") == defect_free)
        stained[rng.permutation(members)[: round(rate * len(members))]] = True
    repeated = np.isin(np.arange(n), rng.permutation(n)[:n_repeats])
    return [
        Strip(first + i, _classes(rng, keys[i]), bool(stained[i]), 2 if repeated[i] else 1, folder) for i in range(n)
    ]


def _classes(rng: np.random.Generator, key: str) -> tuple[int, ...]:
    if key == "none":
        return ()
    if key == "several":
        return SEVERAL[rng.choice(len(SEVERAL), p=SEVERAL_SHARES)]
    return (int(key),)


def _quotas(shares: dict[str, float], n: int) -> NDArray[np.str_]:
    """``n`` keys in the given shares, by largest remainder."""
    keys = sorted(shares)
    exact = np.array([shares[key] for key in keys]) * n
    counts = np.floor(exact).astype(int)
    counts[np.argsort(counts - exact, kind="stable")[: n - counts.sum()]] += 1
    return np.repeat(keys, counts)


def _names(rng: np.random.Generator, n: int) -> Iterator[str]:
    numbers = dict.fromkeys(rng.integers(16**9, size=2 * n + 8).tolist())
    return (f"{number:09x}.jpg" for number in list(numbers)[:n])
