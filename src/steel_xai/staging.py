"""Folders for results in the making, one for each run, cleared away when their run fails or was killed."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steel_xai.errors import InputError


@contextmanager
def staging(folder: Path) -> Iterator[Path]:
    """Make a folder within ``folder`` that no other run uses, and remove what killed runs left there.

    It stays if the block ends well, so that what is in it can be moved to its place; else it is removed.

    Raises:
        InputError: The folder cannot be made.
    """
    for left_over in folder.glob("staged-*"):
        pid = left_over.name.split("-")[1]
        if pid.isdigit() and not is_running(int(pid)):
            shutil.rmtree(left_over, ignore_errors=True)
    try:
        staged = Path(tempfile.mkdtemp(prefix=f"staged-{os.getpid()}-", dir=folder))
    except OSError as error:
        raise InputError(f"cannot write into {folder}: {error.strerror}; make it a writable folder") from error
    try:
        yield staged
    except BaseException:
        shutil.rmtree(staged, ignore_errors=True)
        raise


def is_running(pid: int) -> bool:
    """Tell whether a process of this number is alive; True where that cannot be asked."""
    if os.name != "posix":
        return True  # signal 0 would end the process on Windows
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True
