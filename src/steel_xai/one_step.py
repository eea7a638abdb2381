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
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        with contextlib.suppress(OSError):  # of a disk that takes no changes at all
            part.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> DiskError:
    """Make the error of a file that cannot be written."""
    reason = error.strerror or str(error)
    return DiskError(f"cannot write {path}: {reason}; free some space or set data_root to another disk")
