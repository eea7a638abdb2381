"""Folders: the raw sheets of a source, and places where long stages keep what must survive a kill."""

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
        """Return name -> path of every entry but hidden ones; folders are left out."""
        if not self._folder.is_dir():
            raise InputError(f"No folder of sheets at {self._folder}; put the images of the source there.")
        return {path.name: path for path in sorted(self._folder.iterdir()) if self._is_sheet(path)}

    @staticmethod
    def _is_sheet(path: Path) -> bool:
        return not path.name.startswith(".") and (path.is_symlink() or not path.is_dir())

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
