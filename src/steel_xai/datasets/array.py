"""Arrays as .npy files, mapped into memory when loaded."""

import base64
import os
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np
from kedro.io import AbstractVersionedDataset
from kedro.io.core import Version
from kedro_datasets._typing import ImagePreview

from steel_xai.array_file import map_array

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
        """Map the array; a damaged file is an InputError that names it, pickled objects are never loaded."""
        return map_array(Path(self._get_load_path()))

    def save(self, data: np.ndarray | Path) -> None:
        """Write an array, or move a finished file, without a moment at which half of it could be loaded."""
        with replacing(Path(self._get_save_path())) as partial:
            if isinstance(data, Path):
                os.replace(data, partial)
            else:
                np.save(partial, data, allow_pickle=False)

    def preview(self, data_source: str = "", class_names: Sequence[str] = ()) -> ImagePreview:
        """Show a contact sheet of examples in kedro-viz.

        Args:
            data_source: Whose sheets these are, named in the picture.
            class_names: Of masks: names of the classes, for the legend.
        """
        from steel_xai.plots.contact_sheet import contact_sheet

        picture = BytesIO()
        contact_sheet(self.load(), data_source=data_source, class_names=class_names).savefig(picture, format="png")
        return ImagePreview(base64.b64encode(picture.getvalue()).decode())

    def _exists(self) -> bool:
        return Path(self._get_load_path()).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
