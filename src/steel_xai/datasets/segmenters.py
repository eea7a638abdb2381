"""Several segmenters, one a class, as a folder of folders."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version
from kedro_datasets._typing import JSONPreview

from .files import replacing
from .model import DESCRIPTION, ModelDataset

if TYPE_CHECKING:
    from steel_xai.segmentation.segmenter import Segmenter

_PREFIX = "class_"


class SegmentersDataset(AbstractVersionedDataset["dict[int, Segmenter]", "dict[int, Segmenter]"]):
    """Segmenters by the number of their class: ``class_<k>/`` holds what `ModelDataset` writes of one."""

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        """Args: filepath of the folder; version and metadata as Kedro passes them."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "dict[int, Segmenter]":
        """Rebuild every network, in evaluation mode on the CPU; damaged or foreign files are errors that name them."""
        from steel_xai.segmentation.segmenter import Segmenter

        found: dict[int, Segmenter] = {}
        for number, folder in self._folders().items():
            model = ModelDataset(filepath=folder.as_posix()).load()
            if not isinstance(model, Segmenter):
                raise DatasetError(f"{folder} holds a classifier where a segmenter of class {number} is expected")
            found[number] = model
        if not found:
            raise DatasetError(f"{self._get_load_path()} holds no segmenters; train them anew or load another version")
        return found

    def save(self, data: "dict[int, Segmenter]") -> None:
        """Write all of them; the folder appears whole or not at all."""
        with replacing(Path(self._get_save_path())) as folder:
            folder.mkdir()
            for number, segmenter in data.items():
                ModelDataset(filepath=(folder / f"{_PREFIX}{number}").as_posix()).save(segmenter)

    def preview(self) -> JSONPreview:
        """Show the descriptions in kedro-viz."""
        descriptions = {
            folder.name: json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            for folder in self._folders().values()
        }
        return JSONPreview(json.dumps(descriptions))

    def _folders(self) -> dict[int, Path]:
        folders = {
            int(folder.name.removeprefix(_PREFIX)): folder
            for folder in Path(self._get_load_path()).glob(f"{_PREFIX}*")
            if folder.name.removeprefix(_PREFIX).isdecimal()
        }
        return dict(sorted(folders.items()))

    def _exists(self) -> bool:
        return bool(self._folders())

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
