"""Atomic writing: a reader sees a file whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from steel_xai.errors import InputError
from steel_xai.one_step import to_disk


@contextmanager
def replacing(target: Path) -> Iterator[Path]:
    """Yield a path beside ``target`` to write a file or folder to, which takes its name when the block ends well.

    If the block fails, what it wrote is removed, and with it the version folder that was made for it. A full or
    unwritable disk raises InputError that names the path.
    """
    new_parents = [parent for parent in target.parents if not parent.exists()]
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".", suffix=".partial", dir=target.parent))
        try:
            yield scratch / target.name
            to_disk(scratch / target.name)
            os.replace(scratch / target.name, target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    except BaseException as error:
        for parent in new_parents:  # innermost first; only what is empty, and only what this call made
            if parent.is_dir() and not any(parent.iterdir()):
                parent.rmdir()
        if isinstance(error, OSError):
            raise InputError(
                f"Cannot write {target}: {error.strerror or error}. Free disk space or mend the folder's permissions."
            ) from error
        raise
