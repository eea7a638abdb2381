"""Folders: the raw sheets of a source, and places where long stages keep what must survive a kill."""

import os
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from steel_xai.errors import InputError
from steel_xai.raw_files import RawFile, exists, is_url, list_folder, raw_place, within


class SheetFolderDataset(AbstractDataset[None, dict[str, RawFile]]):
    """The image files of a folder by name, in sorted order; nothing is read before a node opens a path or URL."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        """Args: filepath of the folder, or its URL; metadata as Kedro passes it."""
        self._folder = raw_place(filepath, Path())
        self.metadata = metadata

    def load(self) -> dict[str, RawFile]:
        """Return name -> path or URL of every entry but hidden ones; folders are left out.

        Raises:
            InputError: There is no such folder, or it may not be read.
        """
        try:
            names = _names_at_url(self._folder) if is_url(self._folder) else _names_in(self._folder)
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"No folder of sheets at {self._folder}; put the images of the source there.") from error
        except OSError as error:
            raise InputError(f"The folder of sheets {self._folder} cannot be read: {error.strerror}.") from error
        return {name: within(self._folder, name) for name in sorted(names) if not name.startswith(".")}

    def save(self, data: None) -> None:
        """Refuse: raw data is never written by a pipeline."""
        raise NotImplementedError(f"{self._folder} holds raw data and is only read")

    def _exists(self) -> bool:
        return exists(self._folder) if is_url(self._folder) else Path(self._folder).is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._folder}


def _names_in(folder: RawFile) -> list[str]:
    with os.scandir(folder) as entries:
        return [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]


def _names_at_url(folder: str) -> list[str]:
    return [name for name, entry in list_folder(folder).items() if entry["type"] != "directory"]


class WorkFolderDataset(AbstractDataset[None, Path]):
    """A folder for a stage's own use (staged arrays, checkpoints, live logs); loading it makes it."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        """Args: filepath of the folder; metadata as Kedro passes it."""
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> Path:
        """Return the folder's path; InputError if it cannot be made."""
        try:
            self._folder.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"Cannot make the folder {self._folder}: {error.strerror}.") from error
        return self._folder

    def save(self, data: None) -> None:
        """Refuse: a stage writes into the folder itself."""
        raise NotImplementedError(f"{self._folder} is a work folder, not a result")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._folder}
