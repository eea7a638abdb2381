"""Files from strangers: what stands under a name may be anything."""

import stat
from pathlib import Path

from steel_xai.errors import InputError

_LONGEST_REASON = 500


def plain_file_size(path: Path) -> int:
    """Return a file's size in bytes; a pipe, which could block for ever, or a device, which may not end, is refused.

    A link counts as what it leads to.

    Raises:
        InputError: There is no plain file.
    """
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path} cannot be opened: {error.strerror}.") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path} is a folder, a pipe or a device; put a plain file there.")
    return status.st_size


def one_line(reason: object) -> str:
    """Make what a library says of a file fit for a message: one short line, without what would upset a terminal."""
    line = " ".join(str(reason).split())[:_LONGEST_REASON]
    return line if line.isprintable() else line.encode("unicode_escape").decode()
