"""Files that take their place in one step."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from steel_xai.errors import DiskError


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a name beside ``path`` to write to; it takes the place of ``path`` if the block ends well.

    Raises:
        DiskError: It cannot be written: the disk is full, or the folder may not be written to.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        to_disk(part)
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # of a disk that takes no changes at all
            part.unlink(missing_ok=True)


def to_disk(path: Path) -> None:
    """Wait until a file, or every file of a folder, is on the disk.

    A rename may reach it before the content does, and a power cut between them would leave an empty file.
    """
    for file in [path] if path.is_file() else [found for found in path.rglob("*") if found.is_file()]:
        with file.open("r+b") as opened:
            os.fsync(opened.fileno())


def cannot_write(path: Path, error: OSError) -> DiskError:
    """Make the error of a file that cannot be written."""
    reason = error.strerror or str(error)
    return DiskError(f"cannot write {path}: {reason}; free some space or set data_root to another disk")
