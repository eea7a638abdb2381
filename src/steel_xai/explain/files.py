"""Which files a path, a folder or a glob stands for."""

import glob
import os
from pathlib import Path
from typing import NamedTuple

from steel_xai.errors import InputError


class ImageFile(NamedTuple):
    """A file and its name, which no other file of the run has."""

    image_id: str
    path: Path


def find_images(pattern: str | None) -> list[ImageFile]:
    """List what ``explain.images`` names, in sorted order; hidden files and folders within are left out.

    Whether a file is an image is decided by its content, when it is read.

    Args:
        pattern: A file, a folder (of which the files are taken, not the folders within), or a glob.

    Returns:
        Files, named by their paths below the folder that all have in common, so that no two have one name.

    Raises:
        InputError: Nothing is named, or there is no such file.
    """
    if pattern is None:
        raise InputError(
            "explain.images: no sheets are named; give a file, a folder or a glob in quotes: "
            "kedro run --pipeline=explain --params=explain.images=PATH"
        )
    given = Path(pattern).expanduser()
    if given.is_dir():
        paths = [path for path in given.iterdir() if not path.name.startswith(".")]
    elif given.exists() or given.is_symlink():
        paths = [given]
    else:
        paths = [Path(path) for path in glob.glob(str(given), recursive=True)]  # noqa: PTH207, absolute ones too
    files = sorted(path for path in paths if path.is_symlink() or not path.is_dir())
    if not files:
        raise InputError(
            f"explain.images: there is no file at '{pattern}'; give a file, a folder with images in it, or a glob in "
            f"quotes ('folder/**/*.jpg' looks into all folders). Relative paths start at {Path.cwd()}"
        )
    common = os.path.commonpath([path.parent.absolute() for path in files])
    return [ImageFile(printable(path.absolute().relative_to(common).as_posix()), path) for path in files]


def printable(name: str) -> str:
    """Escape a name with characters that no table or page can show."""
    return name if name.isprintable() else name.encode("unicode_escape").decode()
