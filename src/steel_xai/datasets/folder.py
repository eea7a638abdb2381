"""Folders: the raw sheets of a source, and places where long stages keep what must survive a kill."""

import os
from pathlib import Path
from typing import Any

from kedro.io import AbstractDataset

from steel_xai.errors import InputError


class SheetFolderDataset(AbstractDataset[None, dict[str, Path]]):
    """The image files of a folder by name, in sorted order; nothing is read before a node opens a path."""

    def __init__(self, *, filepath: str, metadata: dict[str, Any] | None = None):
        """Args: filepath of the folder; metadata as Kedro passes it."""
        self._folder = Path(filepath)
        self.metadata = metadata

    def load(self) -> dict[str, Path]:
        """Return name -> path of every entry but hidden ones; folders are left out.

        Raises:
            InputError: There is no such folder, or it may not be read.
        """
        try:
            with os.scandir(self._folder) as entries:
                names = [entry.name for entry in entries if not entry.is_dir(follow_symlinks=False)]
        except (FileNotFoundError, NotADirectoryError) as error:
            raise InputError(f"No folder of sheets at {self._folder}; put the images of the source there.") from error
        except OSError as error:
            raise InputError(f"The folder of sheets {self._folder} cannot be read: {error.strerror}.") from error
        return {name: self._folder / name for name in sorted(names) if not name.startswith(".")}

    def save(self, data: None) -> None:
        """Refuse: raw data is never written by a pipeline."""
        raise NotImplementedError(f"{self._folder} holds raw data and is only read")

    def _exists(self) -> bool:
        return self._folder.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._folder}


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
