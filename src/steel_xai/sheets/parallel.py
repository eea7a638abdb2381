"""Work on many sheets at once, with a progress bar."""

from collections.abc import Callable, Generator
from contextlib import closing
from typing import TypeVar

Result = TypeVar("Result")


def map_batches(
    function: Callable[[slice], Result], count: int, *, n_jobs: int, batch_size: int, description: str, unit: str
) -> Generator[tuple[slice, Result]]:
    """Call a function on consecutive slices of ``count`` items; yield each slice and its result, in order.

    A bounded number of slices is under way, so memory does not grow with ``count`` if the results are not kept.

    Args:
        function: Gets the slice of a batch; runs in a thread, so it should spend its time outside Python's lock.
        count: Number of items.
        n_jobs: Threads; -1 takes all cores.
        batch_size: Items in a slice.
        description: Title of the progress bar.
        unit: What the progress bar counts.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    batches = [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    parallel = Parallel(n_jobs=n_jobs, require="sharedmem", return_as="generator", pre_dispatch="2*n_jobs")
    calls = (delayed(function)(batch) for batch in batches)
    bar = tqdm(total=count, disable=not count, desc=description, unit=unit)
    with bar as progress, closing(parallel(calls)) as results:
        for batch, result in zip(batches, results, strict=True):
            yield batch, result
            progress.update(batch.stop - batch.start)
