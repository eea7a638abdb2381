"""Going on where a batch is too large for the device's memory: with half of it."""

import logging
from collections.abc import Callable, Iterator
from typing import TypeVar

import torch

from steel_xai.errors import InputError

Result = TypeVar("Result")
Part = TypeVar("Part", slice, list[slice])

logger = logging.getLogger(__name__)


class BatchSize:
    """How many examples are worked on at a time; halved for good when the device's memory gives out.

    One object serves a whole run, so that what did not fit is not tried again and the warning comes once.

    Attributes:
        size: Examples at a time.
    """

    def __init__(self, size: int, parameter: str, smallest: int = 1) -> None:
        """Args: the size, the parameter that it comes from, and the size below which nothing is tried."""
        self.size = size
        self.parameter = parameter
        self.smallest = smallest

    def halve(self, tried: int) -> None:
        """Go on with half of what was tried.

        Raises:
            InputError: What was tried is the smallest size.
        """
        if tried <= self.smallest:
            raise InputError(
                f"{self.parameter}: a batch of {tried} does not fit into the device's memory; set "
                f"{self.parameter} below it, free memory that other programs hold, or set training.device: cpu"
                if tried > 1
                else f"{self.parameter}: not even a batch of 1 fits into the device's memory; free memory that other "
                "programs hold, choose a smaller training.architecture, or set training.device: cpu"
            )
        self.size = max(self.smallest, tried // 2)
        logger.warning(
            "A batch of %d does not fit into the device's memory; it goes on with %d at a time (%s).",
            tried,
            self.size,
            self.parameter,
        )
        # What the failed attempt held is cached in blocks that smaller tensors may not fit into.
        if torch.cuda.is_available():
            torch.cuda.empty_cache()


def in_batches(compute: Callable[[slice], Result], n: int, batch: BatchSize) -> Iterator[tuple[slice, Result]]:
    """Compute something for n examples, batch after batch; one that does not fit is tried again in halves.

    Args:
        compute: From positions ``start:stop`` to their result; may be called again for some of them.
        n: Number of examples.
        batch: How many at a time; smaller afterwards if it was too many.

    Yields:
        Positions, from 0 on, and their result.

    Raises:
        InputError: Not even the smallest batch fits.
    """
    start = 0
    while start < n:
        part = slice(start, min(start + batch.size, n))
        for result in _attempt(compute, part):
            yield part, result
            start = part.stop
        if start != part.stop:
            batch.halve(part.stop - part.start)


def micro_batches(
    accumulate: Callable[[slice], Result], n: int, batch: BatchSize, *, start_over: Callable[[], None]
) -> list[Result]:
    """Add up the gradients of one batch of n examples, in parts if it does not fit as a whole.

    Their sum is the whole batch's gradient if ``accumulate`` weighs each part's mean loss by its share of the batch.
    Two things follow the parts all the same: batch normalisation, whose statistics are those of each part, also of
    parts that an abandoned attempt had finished; and dropout, which draws other masks.

    Args:
        accumulate: Does the forward and backward pass of positions ``start:stop``, adding to the gradients.
        n: Number of examples.
        batch: How many at a time; smaller afterwards if it was too many.
        start_over: Clears the gradients; called before the first part, and again before each new attempt.

    Returns:
        The parts' results, in order.

    Raises:
        InputError: Not even the smallest part fits.
    """

    def add_up(parts: list[slice]) -> list[Result]:
        return [accumulate(part) for part in parts]

    while True:
        start_over()
        size = min(batch.size, n)
        parts = [slice(start, min(start + size, n)) for start in range(0, n, size)]
        for results in _attempt(add_up, parts):
            return results
        batch.halve(size)


def _attempt(compute: Callable[[Part], Result], part: Part) -> list[Result]:
    """Return the result in a list; nothing in it if memory gave out.

    The error is let go of before anything else is tried, because it holds on to the frames that hold the memory.
    """
    try:
        return [compute(part)]
    except torch.OutOfMemoryError:
        return []
