"""One process at a time in a work folder, and no two under one name."""

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
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


LONG_PAST = 60.0
"""Seconds after which a name that a killed process has left behind is cleared away."""


@contextmanager
def name_of_its_own(folder: Path, names: Iterable[str]) -> Iterator[str]:
    """Hold the first of some names, each that of a moment, that no other process holds in a folder, for a block.

    A folder that takes no files holds none; what the block writes beside it will say why. Folders that are made for
    the name go with it, unless the block has put something there.
    """
    names = iter(names)
    held = next(names)
    made = [folder, *(parent for parent in folder.parents if not parent.exists())]
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for left_over in folder.iterdir():
            with suppress(FileNotFoundError):  # another process clears away as well
                if time.time() - left_over.stat().st_mtime > LONG_PAST:
                    left_over.unlink()
        while not _takes(folder / held):
            held = next(names)
    except OSError:
        yield held
    else:
        try:
            yield held
        finally:
            with suppress(OSError):  # the first that is not empty stays, and those around it
                (folder / held).unlink()
                for empty in made:
                    empty.rmdir()


def _takes(path: Path) -> bool:
    try:
        path.touch(exist_ok=False)
    except FileExistsError:
        return False
    return True
