"""Files that take their place in one step."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steel_xai.errors import InputError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give the block a name beside ``path`` to write to; it takes the place of ``path`` if the block ends well.

    Raises:
        InputError: It cannot be written: the disk is full, or the folder may not be written to.
    """
    part = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        yield part
        part.replace(path)
    except OSError as error:
        raise cannot_write(path, error) from error
    finally:
        part.unlink(missing_ok=True)


def cannot_write(path: Path, error: OSError) -> InputError:
    """Make the error of a file that cannot be written."""
    reason = error.strerror or str(error)
    return InputError(f"cannot write {path}: {reason}; free some space or set data_root to another disk")
