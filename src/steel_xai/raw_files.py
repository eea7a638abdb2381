"""Where raw data lies: on this disk, or at a URL that fsspec knows (``s3://``, ``gs://``, ``abfs://``, ``https://``).

A place on this disk is a ``Path``, a URL a ``str``. Nothing is ever written to a URL. Credentials are those that the
protocol's own package finds (environment, configuration files), so that none stand in the project.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeGuard

from steel_xai.errors import InputError
from steel_xai.plain_file import one_line

if TYPE_CHECKING:
    from fsspec import AbstractFileSystem

RawFile = Path | str
"""A path, or a URL."""

MAX_TABLE_BYTES = 4 * 2**30
_CHUNK_BYTES = 1 << 20
_TAGS = ("ETag", "etag", "md5Hash", "LastModified", "last_modified", "mtime", "updated", "modified", "created")
"""Under which file systems tell that a file has changed, the surest first."""


def is_url(place: RawFile) -> TypeGuard[str]:
    """Tell a URL from a path."""
    return isinstance(place, str) and "://" in place


def raw_place(text: str, folder: Path) -> RawFile:
    """Make a place of what the configuration says: a URL, or a path, which starts at ``folder`` if it is relative."""
    return text if is_url(text) else Path(folder, text)


def within(place: RawFile, name: str) -> RawFile:
    """Name an entry of a folder."""
    return place / name if isinstance(place, Path) else f"{place.rstrip('/')}/{name}"


def open_file_system(url: str) -> tuple["AbstractFileSystem", str]:
    """Return the file system of a URL, and the path within.

    Raises:
        InputError: The protocol is unknown, its package is not installed, or the system refuses to be opened.
    """
    from fsspec.core import url_to_fs

    try:
        system, path = url_to_fs(url)
        return system, str(path)
    except ImportError as error:
        raise InputError(
            f"{url} needs a package that is not installed here: {one_line(error)} (for s3:// `pip install s3fs`, for "
            "gs:// gcsfs, for abfs:// adlfs, for https:// aiohttp; on every machine of a cluster)"
        ) from error
    except ValueError as error:
        raise InputError(f"{url} is no address that fsspec knows: {one_line(error)}. Correct raw_root.") from error
    except Exception as error:
        raise _unreachable(url, error) from error


def exists(place: RawFile) -> bool:
    """Tell whether a file or folder is there; InputError if that cannot be found out."""
    if isinstance(place, Path):
        return place.exists()
    system, path = open_file_system(place)
    with _reaching(place):
        return bool(system.exists(path))


def forget_listings(url: str) -> None:
    """Let the next look at a URL ask again; until then a folder is listed once, where its file system can do so."""
    open_file_system(url)[0].invalidate_cache()


def list_folder(url: str) -> dict[str, dict[str, Any]]:
    """List the entries of a folder at a URL by name: what the file system tells of each, ``type`` among it.

    Raises:
        FileNotFoundError: There is no such folder.
        InputError: It cannot be read.
    """
    system, path = open_file_system(url)
    with _reaching(url):
        entries = system.ls(path, detail=True)
    named = {str(entry["name"]).rstrip("/"): entry for entry in entries}
    if set(named) == {path.rstrip("/")} and named[path.rstrip("/")]["type"] != "directory":
        raise FileNotFoundError(f"{url} is a file")
    # some stores keep an empty object in the place of a folder
    return {name.rpartition("/")[2]: entry for name, entry in named.items() if name != path.rstrip("/")}


def read_url(url: str, limit: int) -> bytes:
    """Read a file at a URL, of which no more than ``limit`` + 1 bytes are returned.

    Raises:
        FileNotFoundError: There is none.
        InputError: It cannot be read, so that a network that fails is never taken for a file that is bad.
    """
    system, path = open_file_system(url)
    with _reaching(url), system.open(path, "rb") as file:
        return bytes(file.read(limit + 1))


@contextmanager
def local_copy(place: RawFile) -> Iterator[Path]:
    """Give a file as one on this disk: itself, or for the length of the block a copy of what stands at a URL.

    Raises:
        InputError: There is no such file at the URL, it cannot be read, or has more than 4 GiB.
    """
    if isinstance(place, Path):
        yield place
        return
    system, path = open_file_system(place)
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder, "copy")
        try:
            with _reaching(place), system.open(path, "rb") as source, copy.open("wb") as target:
                while target.tell() <= MAX_TABLE_BYTES and (chunk := source.read(_CHUNK_BYTES)):
                    target.write(chunk)
        except FileNotFoundError as error:
            raise InputError(f"There is no file at {place}.") from error
        if copy.stat().st_size > MAX_TABLE_BYTES:
            raise InputError(f"{place} has more than {MAX_TABLE_BYTES // 2**30} GiB; cut it into parts.")
        yield copy


def state_of_url(url: str) -> str:
    """Return a hash that changes when a file, or a file of a folder, changes at a URL.

    It is of sizes and of what the file system gives for a version (a checksum, or the time of change); of a file of
    which it gives nothing, of the bytes.

    Raises:
        FileNotFoundError: There is nothing.
        InputError: It cannot be read.
    """
    system, path = open_file_system(url)
    with _reaching(url):
        about = system.info(path)
    if about["type"] == "directory":
        entries = sorted(list_folder(url).items())
        return _hash("".join(f"{name}\0{_version(entry)}\n" for name, entry in entries))
    if _tag(about) is not None:
        return _hash(_version(about))
    with local_copy(url) as copy, copy.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _tag(entry: dict[str, Any]) -> object:
    return next((entry[key] for key in _TAGS if entry.get(key) is not None), None)


def _version(entry: dict[str, Any]) -> str:
    return f"{entry.get('size')}\0{_tag(entry)}"


@contextmanager
def _reaching(url: str) -> Iterator[None]:
    """Turn what a file system's own libraries raise into InputError; what is not there stays FileNotFoundError."""
    try:
        yield
    except (FileNotFoundError, InputError):
        raise
    except Exception as error:  # each protocol's package has error types of its own
        raise _unreachable(url, error) from error


def _unreachable(url: str, error: Exception) -> InputError:
    return InputError(
        f"{url} cannot be read ({one_line(f'{type(error).__name__}: {error}')}); see whether the address is right, the "
        "network is up and this machine has credentials, then run again"
    )
