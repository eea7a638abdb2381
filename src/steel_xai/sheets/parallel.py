"""Work on many sheets at once, with a progress bar: on this machine's cores, or a cluster that joblib knows of."""

import threading
import warnings
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from functools import partial
from multiprocessing.dummy import DummyProcess
from typing import Any, TypeVar

Result = TypeVar("Result")

_LONGEST_CALL = 60
"""Seconds that a call which has begun is waited for."""


def runs_elsewhere() -> bool:
    """Tell whether the backend that `joblib.parallel_config` names works in other processes, as a cluster does."""
    from joblib.parallel import get_active_backend

    backend, _ = get_active_backend(prefer="threads")
    return not getattr(backend, "supports_sharedmem", False)


def map_batches(
    function: Callable[[Any], Result],
    count: int,
    *,
    n_jobs: int | None,
    batch_size: int,
    description: str,
    unit: str,
    take: Callable[[slice], Any] | None = None,
) -> Generator[tuple[slice, Result]]:
    """Call a function on consecutive batches of ``count`` items; yield each batch's slice and its result, in order.

    A bounded number of batches is under way, so memory does not grow with ``count`` if the results are not kept.

    Args:
        function: Gets what ``take`` makes of a batch's slice, or the slice. It runs in a thread, so it should spend its
            time outside Python's lock; or, with ``take``, on a worker of the backend that `joblib.parallel_config`
            names. Then it gets a copy and must keep nothing but its result.
        count: Number of items.
        n_jobs: Threads; -1 takes all cores; None is 1 here and all workers of a cluster.
        batch_size: Items in a batch.
        description: Title of the progress bar.
        unit: What the progress bar counts.
        take: Cuts a batch out of the items, in the calling thread. Without it the function reads memory of its caller
            and never leaves this process.
    """
    from joblib import Parallel, delayed
    from tqdm import tqdm

    batches = [slice(start, min(start + batch_size, count)) for start in range(0, count, batch_size)]
    where = {"require": "sharedmem"} if take is None else {"prefer": "threads"}
    parallel = Parallel(n_jobs=n_jobs, return_as="generator", pre_dispatch="2*n_jobs", batch_size=1, **where)
    # A batch goes as a part of the function: joblib puts large arguments on one Dask worker, and they are lost with it.
    calls = (delayed(partial(function, batch if take is None else take(batch)))() for batch in batches)
    bar = tqdm(total=count, disable=not count, desc=description, unit=unit)
    with bar as progress, _closing(partial(parallel, calls)) as results:
        for batch, result in zip(batches, results, strict=True):
            yield batch, result
            progress.update(batch.stop - batch.start)


@contextmanager
def _closing(start: Callable[[], Generator[Result]]) -> Iterator[Generator[Result]]:
    """Start joblib's calls; in the end drop those that wait, without its warning, and wait for those under way.

    A thread that is within OpenCV or PyTorch while Python shuts down aborts the process.
    """
    before = set(threading.enumerate())
    results = start()
    try:
        yield results
    finally:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message=".*tasks which were still being processed", category=UserWarning)
            results.close()
        for thread in set(threading.enumerate()) - before:
            if isinstance(thread, DummyProcess):  # what pools of threads are made of
                thread.join(_LONGEST_CALL)
