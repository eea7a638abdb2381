import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from steel_xai.sheets.rle import RleError, decode_rle, encode_rle, parse_rle

MASKS = hnp.arrays(np.uint8, hnp.array_shapes(min_dims=2, max_dims=2, max_side=12), elements=st.integers(0, 1))


def test_runs_go_down_the_columns_from_pixel_one() -> None:
    mask = decode_rle("2 3", height=3, width=2)
    assert mask.tolist() == [[0, 1], [1, 0], [1, 0]]
    assert mask.dtype == np.uint8


def test_parsed_runs_are_zero_based_and_sorted() -> None:
    assert parse_rle("7 2 1 3", 3, 4).tolist() == [[0, 3], [6, 2]]


def test_empty_text_is_an_empty_mask() -> None:
    assert parse_rle("", 4, 5).shape == (0, 2)
    assert not decode_rle("  ", 4, 5).any()
    assert encode_rle(np.zeros((4, 5), dtype=bool)) == ""


def test_touching_runs_are_no_overlap() -> None:
    assert decode_rle("1 2 3 2", 2, 3).sum() == 4


def test_last_pixel_may_be_on() -> None:
    assert decode_rle("12 1", 3, 4)[2, 3] == 1
    assert decode_rle("1 12", 3, 4).all()


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("1", "odd"),
        ("1 2 3", "odd"),
        ("1 two", "numeric"),
        ("1.0 2", "numeric"),
        ("1 ²", "numeric"),
        ("1 ٣", "numeric"),
        ("+1 2", "numeric"),
        ("1_0 2", "numeric"),
        ("- 2", "numeric"),
        ("--1 2", "numeric"),
        ("nan 1", "numeric"),
        ("0 1", "zero"),
        ("1 0", "zero"),
        ("-1 2", "negative"),
        ("1 -2", "negative"),
        ("1 3 3 2", "overlapping"),
        ("5 2 1 12", "overlapping"),
        ("2 2 2 2", "overlapping"),
        ("12 2", "leaves the 3x4 image"),
        ("13 1", "leaves the 3x4 image"),
        ("1 13", "leaves the 3x4 image"),
        ("9223372036854775807 9223372036854775807", "leaves"),
        ("999999999999999999 999999999999999999", "leaves"),
        ("1 " + "9" * 100_000, "leaves"),
    ],
)
def test_a_bad_text_is_refused_with_its_reason(text: str, reason: str) -> None:
    with pytest.raises(RleError, match=reason):
        parse_rle(text, 3, 4)


@given(MASKS)
def test_decode_undoes_encode(mask: np.ndarray) -> None:
    np.testing.assert_array_equal(decode_rle(encode_rle(mask), *mask.shape), mask)


@given(MASKS)
def test_encode_undoes_decode(mask: np.ndarray) -> None:
    text = encode_rle(mask)
    assert encode_rle(decode_rle(text, *mask.shape)) == text


@given(MASKS)
def test_encoding_equals_a_pixel_by_pixel_walk(mask: np.ndarray) -> None:
    height, width = mask.shape
    expected: list[int] = []
    previous = 0
    for pixel in range(height * width):
        value = int(mask[pixel % height, pixel // height])
        if value and not previous:
            expected += [pixel + 1, 0]
        if value:
            expected[-1] += 1
        previous = value
    assert encode_rle(mask) == " ".join(map(str, expected))


@given(st.text() | st.text(alphabet="0123456789 -", max_size=40), st.integers(1, 20), st.integers(1, 20))
def test_arbitrary_text_gives_a_mask_or_an_rle_error(text: str, height: int, width: int) -> None:
    try:
        mask = decode_rle(text, height, width)
    except RleError:
        return
    assert mask.shape == (height, width)
    assert mask.sum() == parse_rle(text, height, width)[:, 1].sum()
