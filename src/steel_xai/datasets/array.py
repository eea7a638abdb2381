"""Arrays as .npy files, mapped into memory when loaded."""

import os
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version

from .files import replacing


class MemoryMappedArrayDataset(AbstractVersionedDataset[np.ndarray | Path, np.ndarray]):
    """A NumPy array on disk. Loading maps it read-only: its size in memory is what is looked at.

    Saving takes an array, or the path of a finished .npy file, which is moved into place; so that a node can
    write an array block by block that would not fit into memory.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        """Args: filepath of the .npy file; version and metadata as Kedro passes them."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> np.ndarray:
        """Map the array; a damaged file is an error that names it, pickled objects are never loaded."""
        path = Path(self._get_load_path())
        try:
            array: np.ndarray = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, EOFError) as error:
            raise DatasetError(
                f"{path} is no readable .npy array ({error}); make it anew or load another version"
            ) from error
        return array

    def save(self, data: np.ndarray | Path) -> None:
        """Write an array, or move a finished file, without a moment at which half of it could be loaded."""
        with replacing(Path(self._get_save_path())) as partial:
            if isinstance(data, Path):
                os.replace(data, partial)
            else:
                np.save(partial, data, allow_pickle=False)

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
