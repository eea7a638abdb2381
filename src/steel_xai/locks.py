"""One process at a time in a work folder."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steel_xai.errors import InputError

try:
    import fcntl
except ImportError:  # Windows, where this project takes no locks
    fcntl = None  # type: ignore[assignment]


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Hold a folder (made if absent) for the length of a block; a killed process holds it no longer.

    Raises:
        InputError: Another run holds it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        if fcntl is not None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise InputError(
                    f"another run is at work in {folder}; wait for it to end, or give this one a data_root of its own"
                ) from error
        yield
