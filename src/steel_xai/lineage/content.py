"""The content of files and folders as short texts that are equal where the content is."""

import hashlib
from collections.abc import Iterable
from pathlib import Path

from steel_xai.raw_files import RawFile, state_of_url

ABSENT = "absent"
"""The content of an optional file that is not there."""

_digests: dict[tuple[str, int, int], str] = {}
"""By path, size and time of change, so that a file is read once in a process."""


def content_of(path: Path) -> str:
    """Return the SHA-256 of a file's bytes, or of the names and bytes of all files of a folder.

    Raises:
        OSError: It is not there or cannot be read.
    """
    if not path.is_dir():
        return _digest(path)
    digest = hashlib.sha256()
    for file in sorted(file for file in path.rglob("*") if file.is_file()):
        digest.update(f"{file.relative_to(path).as_posix()}\0{_digest(file)}\n".encode())
    return digest.hexdigest()


def raw_content_of(path: RawFile) -> str:
    """Return what stands for the content of a user's own file or folder.

    A file counts by its bytes. A folder counts by names, sizes and times of change, because reading gigabytes of
    pictures at every look would take minutes. At a URL a file counts likewise, by what its store tells of it. What is
    not there is ``ABSENT``.

    Raises:
        InputError: A URL cannot be reached.
    """
    if not isinstance(path, Path):
        try:
            return state_of_url(path)
        except FileNotFoundError:
            return ABSENT
    if not path.is_dir():
        return _digest(path) if path.exists() else ABSENT
    return content_of_listing((file.name, file) for file in sorted(path.iterdir()))


def content_of_listing(files: Iterable[tuple[str, Path]]) -> str:
    """Return a hash of the names given to some files, and of their sizes and times of change.

    Raises:
        OSError: One is not there.
    """
    digest = hashlib.sha256()
    for name, file in files:
        stat = file.lstat()
        digest.update(f"{name}\0{stat.st_size}\0{stat.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def size_and_time(path: Path) -> tuple[int, int]:
    """Return the bytes of a file or folder, and when (in ns) the newest of its files was written.

    Raises:
        OSError: It is not there.
    """
    files = [file for file in path.rglob("*") if file.is_file()] if path.is_dir() else [path]
    stats = [file.stat() for file in files]
    return sum(stat.st_size for stat in stats), max((stat.st_mtime_ns for stat in stats), default=0)


def _digest(file: Path) -> str:
    stat = file.stat()
    key = (str(file), stat.st_size, stat.st_mtime_ns)
    if key not in _digests:
        with file.open("rb") as opened:
            _digests[key] = hashlib.file_digest(opened, "sha256").hexdigest()
    return _digests[key]
