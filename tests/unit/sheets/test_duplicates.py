import cv2
import numpy as np
import pytest

from steel_xai.parameters import DuplicateParameters
from steel_xai.sheets.duplicates import duplicate_groups

SIZE = (64, 400)
PARAMETERS = DuplicateParameters(max_hash_distance=16, min_correlation=0.65)


def strip(seed: int, height: int = 128) -> np.ndarray:
    """A long piece of streaked steel, longer than one frame."""
    noise = np.random.default_rng(seed).normal(size=(height, SIZE[1])).astype(np.float32)
    streaks = cv2.GaussianBlur(noise, (0, 0), sigmaX=2, sigmaY=12)
    return np.asarray(100 + 25 * streaks / streaks.std())


def frame(picture: np.ndarray, top: int = 0, left_black: int = 0, seed: int = 0) -> np.ndarray:
    """One photograph of a strip: cut out, with fresh grain and a black end."""
    cut = picture[top : top + SIZE[0]] + np.random.default_rng(seed).normal(scale=3, size=SIZE)
    cut[:, :left_black] = 2
    return np.clip(cut, 0, 255).astype(np.uint8)


def group(frames: list[np.ndarray], n_jobs: int = 1, batch_size: int = 4) -> list[int]:
    return list(duplicate_groups(np.stack(frames)[:, None], PARAMETERS, n_jobs=n_jobs, batch_size=batch_size))


def test_different_strips_stay_apart() -> None:
    assert group([frame(strip(seed)) for seed in range(12)]) == list(range(12))


def test_a_group_is_named_by_its_smallest_row() -> None:
    first, second = strip(1), strip(2)
    assert group([frame(strip(0)), frame(first), frame(second), frame(first, seed=1), frame(second, seed=2)]) == [
        0,
        1,
        2,
        1,
        2,
    ]


@pytest.mark.parametrize("shift", [1, 5, 12])
def test_frames_shifted_along_the_strip_are_one_group(shift: int) -> None:
    picture = strip(0)
    assert group([frame(picture), frame(strip(1)), frame(picture, top=shift, seed=1)]) == [0, 1, 0]


def test_a_brighter_frame_is_still_a_duplicate() -> None:
    picture = strip(0)
    assert group([frame(picture), frame(1.15 * picture + 10, seed=1)]) == [0, 0]


def test_a_chain_of_shifted_frames_is_one_group() -> None:
    picture = strip(0)
    assert group([frame(picture, top=top, seed=top) for top in (0, 8, 16, 24, 32)]) == [0] * 5


@pytest.mark.parametrize("width", [100, 200, 360])
def test_alike_black_ends_do_not_make_duplicates(width: int) -> None:
    assert group([frame(strip(seed), left_black=width) for seed in range(8)]) == list(range(8))


def test_duplicates_with_a_black_end_are_found() -> None:
    picture = strip(0)
    frames = [
        frame(picture, left_black=150),
        frame(strip(1), left_black=150),
        frame(picture, 4, left_black=150, seed=1),
    ]
    assert group(frames) == [0, 1, 0]


def test_alike_brightness_profiles_do_not_make_duplicates() -> None:
    profile = 60 * np.sin(np.linspace(0, np.pi, SIZE[1]))[None]
    assert group([frame(strip(seed) + profile) for seed in range(8)]) == list(range(8))


def test_sheets_without_texture_stay_apart() -> None:
    assert group([np.zeros(SIZE, dtype=np.uint8)] * 3 + [np.full(SIZE, 120, dtype=np.uint8)] * 3) == list(range(6))


def test_many_copies_of_one_sheet_are_one_group() -> None:
    picture = strip(0)
    assert group([frame(picture, seed=seed) for seed in range(40)]) == [0] * 40


@pytest.mark.parametrize("size", [(128, 128), (16, 500), (300, 40), (8, 8)])
def test_any_size_and_colour_is_taken(size: tuple[int, int]) -> None:
    sheets = np.random.default_rng(0).integers(0, 256, size=(3, 3, *size), dtype=np.uint8)
    sheets[2] = sheets[0]
    assert duplicate_groups(sheets, PARAMETERS, n_jobs=1, batch_size=4)[:2].tolist() == [0, 1]


def test_one_sheet_is_its_own_group() -> None:
    assert group([frame(strip(0))]) == [0]


@pytest.mark.parametrize(("n_jobs", "batch_size"), [(1, 1), (2, 1), (2, 64)])
def test_groups_do_not_depend_on_workers_or_batches(n_jobs: int, batch_size: int) -> None:
    strips = [strip(seed) for seed in range(4)]
    frames = [frame(strips[row % 4], top=row // 4, seed=row) for row in range(24)]
    assert group(frames, n_jobs, batch_size) == [0, 1, 2, 3] * 6
