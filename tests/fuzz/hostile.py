"""What the fuzz tests share: a limit on time, damage to bytes, and the count of what became of the cases."""

import signal
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from kedro.io import DatasetError

from steel_xai.errors import InputError

FEW, MANY = 100, 10_000
HOW_MANY = pytest.mark.parametrize("cases", [FEW, pytest.param(MANY, marks=pytest.mark.slow)])
REFUSED = "refused"
LONGEST_MESSAGE = 2000
EXTREMES = [bytes(8), b"\xff" * 8, b"\xff" * 4, b"\x7f" + b"\xff" * 7, b"\x80" + bytes(7), b"9" * 19, b"-1", b"\0\0"]


@contextmanager
def within(seconds: int) -> Iterator[None]:
    """A hang is a failure: far longer than any case takes, on a busy machine too."""

    def fail(*_: object) -> None:
        raise TimeoutError(f"not done within {seconds} s")

    before = signal.signal(signal.SIGALRM, fail)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def try_all(
    survive: Callable[[Any], str], strategy: st.SearchStrategy, cases: int, record: Callable[..., None]
) -> Counter[str]:
    """Try that many cases, the same ones every time if they are few; count and record what became of them."""
    counts: Counter[str] = Counter()
    usual = settings(derandomize=True, database=None) if cases <= FEW else settings(derandomize=False)

    @settings(usual, max_examples=cases, deadline=None, suppress_health_check=list(HealthCheck))
    @given(strategy)
    def try_one(case: Any) -> None:
        with within(60):
            counts[survive(case)] += 1

    try_one()
    record("cases", dict(counts))
    outcomes = ", ".join(f"{count} {name}" for name, count in counts.most_common())
    print(f"{counts.total()} cases tried: {outcomes}, 0 lost")
    assert counts.total() >= cases
    return counts


def named_outcome(load: Callable[[], Any]) -> tuple[Any, str]:
    """Return what a call gives, or that it was refused, with the reason; any other error passes, and fails the test."""
    try:
        return load(), ""
    except (InputError, DatasetError) as error:
        cause = error if isinstance(error, InputError) else error.__cause__
    if not isinstance(cause, InputError):
        raise AssertionError("refused without a named reason") from cause
    if len(str(cause)) > LONGEST_MESSAGE or not str(cause).isprintable():
        raise AssertionError(f"a message of {len(str(cause))} characters, or of more than a line") from cause
    return REFUSED, str(cause)


@st.composite
def damaged(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Change, add, drop and repeat bytes, or cut the end off; half of it near the beginning, where headers are."""
    data = bytearray(draw(whole))
    for _ in range(draw(st.integers(1, 6))):
        position = draw(st.integers(0, min(len(data), 160)) | st.integers(0, len(data)))
        new = draw(st.binary(min_size=1, max_size=8) | st.sampled_from(EXTREMES))
        match draw(st.sampled_from(["change", "flip", "add", "drop", "repeat", "cut"])):
            case "change":
                data[position : position + len(new)] = new
            case "flip" if position < len(data):
                data[position] ^= 1 << draw(st.integers(0, 7))
            case "add":
                data[position:position] = new
            case "drop":
                del data[position : position + draw(st.integers(1, 64))]
            case "repeat":
                data[position:position] = data[position : position + draw(st.integers(1, 256))]
            case "cut":
                del data[position:]
    return bytes(data)


@st.composite
def with_flipped_bits(draw: st.DrawFn, whole: st.SearchStrategy[bytes]) -> bytes:
    """Flip one to three bits, as a bad disk does."""
    data = bytearray(draw(whole))
    for position in draw(st.lists(st.integers(0, len(data) - 1), min_size=1, max_size=3)):
        data[position] ^= 1 << draw(st.integers(0, 7))
    return bytes(data)


def spoilt(whole: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    """Give files with flipped bits, damaged ones, and a few that are whole."""
    ways = [with_flipped_bits(whole), with_flipped_bits(whole), damaged(whole), damaged(whole), whole]
    return st.integers(0, 12).flatmap(lambda number: ways[number // 3])
