import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from steel_xai.batches import Examples, apply_flips, load_batch
from steel_xai.sheets.flips import ALL_DIFFER, FlipMode, count_distinct, flip_probability, flipped_copies
from steel_xai.sheets.splits import check_rows

FLIPS = ["flip_h", "flip_v"]
ALL_FLIPS = {(0, 0), (0, 1), (1, 0), (1, 1)}


def sheet_split(labels: list[int], splits: list[str] | None = None) -> pd.DataFrame:
    rows = np.arange(len(labels))
    table = pd.DataFrame({"row": rows, "image_id": [f"{row}.jpg" for row in rows], "label": labels})
    return table.assign(split=splits or "train", copy=0, flip_h=0, flip_v=0)


def flips_of(copies: pd.DataFrame) -> list[tuple[int, int]]:
    return list(zip(copies["flip_h"], copies["flip_v"], strict=True))


def test_the_probability_is_the_closed_form() -> None:
    assert flip_probability() == pytest.approx(1 / np.sqrt(2), abs=1e-12)
    assert ALL_DIFFER(flip_probability()) == pytest.approx(0.5, abs=1e-12)


def test_no_other_probability_does_better() -> None:
    assert ALL_DIFFER(np.linspace(0, 1, 10_001)).max() <= ALL_DIFFER(flip_probability())


@pytest.mark.parametrize("probability", [0.2, 0.5, 1 / np.sqrt(2), 0.9])
def test_f_is_how_often_a_sheet_and_two_copies_differ(probability: float) -> None:
    n = 4000
    copies = flipped_copies(sheet_split([1] * n), {1: 2}, "random", probability, seed=0)
    picture = np.arange(6).reshape(2, 3)
    pictures = apply_flips(np.tile(picture, (3 * n, 1, 1)), *(copies[flip].to_numpy(bool) for flip in FLIPS))
    original, *others = pictures[:n], pictures[n::2], pictures[n + 1 :: 2]
    same = [(a == b).all(axis=(1, 2)) for a, b in ((original, others[0]), (original, others[1]), tuple(others))]
    found = 1 - np.logical_or.reduce(same).mean()
    assert found == pytest.approx(ALL_DIFFER(probability), abs=4 * 0.5 / np.sqrt(n))


def test_copies_follow_the_split_by_row_and_number() -> None:
    split = sheet_split([1, 0, 2, 1]).iloc[[3, 1, 0, 2]].reset_index(drop=True)
    found = flipped_copies(split, {1: 2, 2: 1}, "orbit", 0.5, seed=0)
    pd.testing.assert_frame_equal(found.iloc[:4], split)
    assert found["row"].tolist()[4:] == [0, 0, 2, 3, 3]
    assert found["copy"].tolist()[4:] == [1, 2, 1, 1, 2]
    assert found["image_id"].tolist()[4:] == ["0.jpg", "0.jpg", "2.jpg", "3.jpg", "3.jpg"]
    assert (found.dtypes == split.dtypes).all()


def test_no_copies_leave_the_split_as_it_was() -> None:
    split = sheet_split([0, 1])
    for copies in ({}, {1: 0}, {7: 3}):
        pd.testing.assert_frame_equal(flipped_copies(split, copies, "random", 0.5, seed=0), split)


def test_random_flips_are_independent_and_as_frequent_as_asked() -> None:
    n, p = 20_000, 0.3
    copies = flipped_copies(sheet_split([1] * (n // 4)), {1: 4}, "random", p, seed=1).query("copy > 0")
    shares = copies.groupby(FLIPS).size() / n
    expected = {(0, 0): 0.49, (0, 1): 0.21, (1, 0): 0.21, (1, 1): 0.09}
    assert shares.to_dict() == pytest.approx(expected, abs=4 * 0.5 / np.sqrt(n))


@pytest.mark.parametrize(("probability", "flip"), [(0.0, 0), (1.0, 1)])
def test_certain_flips_are_certain(probability: float, flip: int) -> None:
    copies = flipped_copies(sheet_split([1] * 9), {1: 3}, "random", probability, seed=0).query("copy > 0")
    assert (copies[FLIPS] == flip).all(axis=None)


@given(st.integers(0, 13), st.integers(0, 2**32 - 1))
def test_orbit_shows_all_four_flips_before_any_again(n: int, seed: int) -> None:
    found = flipped_copies(sheet_split([1, 1]), {1: n}, "orbit", 0.5, seed)
    for _, copies in found[found["copy"] > 0].groupby("row"):
        flips = flips_of(copies)
        assert len(flips) == n
        assert (0, 0) not in flips[:3]
        for start in range(0, n, 4):
            turn = flips[start : start + 4]
            assert len(set(turn)) == len(turn)


def test_orbit_orders_differ_between_sheets() -> None:
    found = flipped_copies(sheet_split([1] * 200), {1: 8}, "orbit", 0.5, seed=0).query("copy > 0")
    orders = [tuple(flips_of(copies)) for _, copies in found.groupby("row")]
    assert {order[:3] for order in orders} == {
        (a, b, c) for a in ALL_FLIPS for b in ALL_FLIPS for c in ALL_FLIPS if len({(0, 0), a, b, c}) == 4
    }
    assert {order[4] for order in orders} == ALL_FLIPS


LABELS = st.lists(st.integers(0, 3), min_size=1, max_size=40)
COPIES = st.dictionaries(st.integers(0, 3), st.integers(0, 7))
MODES = st.sampled_from(["random", "orbit"])
SEEDS = st.integers(0, 2**32 - 1)


@given(LABELS, COPIES, MODES, SEEDS, st.data())
def test_only_training_sheets_of_the_right_class_are_copied(
    labels: list[int], extra: dict[int, int], mode: FlipMode, seed: int, data: st.DataObject
) -> None:
    names = st.sampled_from(["train", "validation", "test"])
    split = sheet_split(labels, data.draw(st.lists(names, min_size=len(labels), max_size=len(labels))))
    found = flipped_copies(split, extra, mode, 0.7, seed)
    pd.testing.assert_frame_equal(found.iloc[: len(split)], split)
    copies = found.iloc[len(split) :]
    columns = ["row", "image_id", "label", "split"]
    pd.testing.assert_frame_equal(
        copies[columns].reset_index(drop=True), split[columns].loc[copies["row"]].reset_index(drop=True)
    )
    assert set(copies["split"]) <= {"train"}
    numbers = copies.groupby("row")["copy"].apply(list).to_dict()
    is_train = split["split"] == "train"
    expected = {row: extra.get(label, 0) for row, label in zip(split["row"], labels, strict=True) if is_train[row]}
    assert numbers == {row: list(range(1, n + 1)) for row, n in expected.items() if n}
    assert set(found["flip_h"]) | set(found["flip_v"]) <= {0, 1}
    check_rows(found, split, len(split))
    pd.testing.assert_frame_equal(found, flipped_copies(split, extra, mode, 0.7, seed))


@given(LABELS, COPIES, MODES, SEEDS)
def test_flips_of_a_sheet_depend_on_no_other_sheet(
    labels: list[int], extra: dict[int, int], mode: FlipMode, seed: int
) -> None:
    few = flipped_copies(sheet_split(labels), extra, mode, 0.7, seed)
    many = flipped_copies(sheet_split(labels), dict.fromkeys(range(4), 7), mode, 0.7, seed)
    key = ["row", "copy"]
    pd.testing.assert_frame_equal(
        few.sort_values(key).reset_index(drop=True),
        few[key].merge(many, on=key)[list(few)].sort_values(key, ignore_index=True),
    )


@pytest.mark.parametrize("mode", ["random", "orbit"])
def test_sheet_and_mask_of_a_copy_are_flipped_alike(mode: FlipMode) -> None:
    masks = np.random.default_rng(0).integers(0, 2, (6, 4, 5), dtype=np.uint8)
    sheets = np.where(masks, 200, 100).astype(np.uint8)[:, None]
    examples = Examples.of(flipped_copies(sheet_split([1] * 6), {1: 8}, mode, 0.5, seed=0), "train")
    batch = load_batch(sheets, examples, torch.device("cpu"))
    flipped = apply_flips(masks[examples.rows], examples.flip_h, examples.flip_v)
    assert ((batch[:, 0] > batch[:, 0].mean()).numpy() == flipped).all()
    assert (flipped != masks[examples.rows]).any()


@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=8), st.sampled_from([(), (1,), (3, 2)]))
def test_flipping_twice_is_the_identity(flips: list[tuple[bool, bool]], between: tuple[int, ...]) -> None:
    pictures = np.arange(len(flips) * int(np.prod(between, dtype=int)) * 12).reshape(len(flips), *between, 3, 4)
    flip_h, flip_v = np.array(flips).T
    once = apply_flips(pictures, flip_h, flip_v)
    for picture, result, (h, v) in zip(pictures, once, flips, strict=True):
        np.testing.assert_array_equal(result, picture[..., :: -1 if v else 1, :: -1 if h else 1])
    np.testing.assert_array_equal(apply_flips(once, flip_h, flip_v), pictures)
    np.testing.assert_array_equal(once, apply_flips(pictures, flip_h.astype(int), flip_v.astype(int)))


def test_another_seed_gives_other_flips() -> None:
    first, second = (flipped_copies(sheet_split([1] * 20), {1: 3}, "random", 0.5, seed)[FLIPS] for seed in (0, 1))
    assert (first != second).any(axis=None)


def test_a_picture_is_a_sheet_and_its_flips() -> None:
    split = sheet_split([0, 1, 1, 1], ["train", "train", "train", "test"])
    flips = [(1, 0), (1, 0), (0, 0), (0, 1)]
    copies = split.iloc[[1, 1, 1, 2]].assign(copy=[1, 2, 3, 1])
    copies[FLIPS] = flips
    # sheet 1: itself, flipped left-right, the same again, itself again; sheet 2: itself, flipped top-down
    found = count_distinct(pd.concat([split, copies], ignore_index=True))
    assert found.to_dict("list") == {"label": [0, 1], "sheets": [1, 2], "copies": [0, 4], "distinct_pictures": [1, 4]}


@given(LABELS, st.integers(0, 9))
def test_orbit_has_as_many_distinct_pictures_as_there_can_be(labels: list[int], n: int) -> None:
    found = count_distinct(flipped_copies(sheet_split(labels), dict.fromkeys(range(4), n), "orbit", 0.5, seed=0))
    assert (found["distinct_pictures"] == found["sheets"] * min(n + 1, 4)).all()
    assert (found["copies"] == found["sheets"] * n).all()
