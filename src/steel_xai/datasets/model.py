"""Trained models, classifiers and segmenters, as a folder of safetensors weights and a JSON description."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any, Literal

from kedro.io import AbstractVersionedDataset
from kedro.io.core import Version
from kedro_datasets._typing import JSONPreview
from pydantic import BaseModel

from .files import replacing
from .safetensors_file import load_model, read_description

if TYPE_CHECKING:
    from steel_xai.classifier import Classifier
    from steel_xai.segmentation.segmenter import Segmenter

    Model = Classifier | Segmenter

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


class _Kind(BaseModel):
    """The one key of a description that says which kind it is; others are left to that kind."""

    kind: Literal["classifier", "segmenter"] = "classifier"


class ModelDataset(AbstractVersionedDataset["Model", "Model"]):
    """A model: ``model.safetensors`` holds its weights, ``model.json`` all that is needed to rebuild it.

    The description's ``kind`` tells a ``segmenter`` from a ``classifier``; one without is a classifier. Nothing that is
    loaded can execute code: the network is built from the description by this project.
    """

    def __init__(self, *, filepath: str, version: Version | None = None, metadata: dict[str, Any] | None = None):
        """Args: filepath of the folder; version and metadata as Kedro passes them."""
        super().__init__(PurePosixPath(filepath), version)
        self.metadata = metadata

    def load(self) -> "Model":
        """Rebuild the network, in evaluation mode on the CPU; damaged or foreign files are errors that name them."""
        from steel_xai.classifier import ClassifierDescription, restore_classifier
        from steel_xai.segmentation.segmenter import SegmenterDescription, restore_segmenter

        folder = Path(self._get_load_path())
        if read_description(folder / DESCRIPTION, _Kind).kind == "segmenter":
            of_segmenter = read_description(folder / DESCRIPTION, SegmenterDescription)
            return load_model(folder / WEIGHTS, lambda state: restore_segmenter(of_segmenter, state))
        of_classifier = read_description(folder / DESCRIPTION, ClassifierDescription)
        return load_model(folder / WEIGHTS, lambda state: restore_classifier(of_classifier, state))

    def save(self, data: "Model") -> None:
        """Write weights and description; the folder appears whole or not at all."""
        from safetensors import SafetensorError
        from safetensors.torch import save_file

        state = {name: tensor.detach().cpu().contiguous() for name, tensor in data.network.state_dict().items()}
        with replacing(Path(self._get_save_path())) as folder:
            folder.mkdir()
            try:
                save_file(state, folder / WEIGHTS)
            except SafetensorError as error:  # how it tells a full disk
                raise OSError(str(error)) from error
            (folder / DESCRIPTION).write_text(data.description.model_dump_json(indent=2) + "\n", encoding="utf-8")

    def preview(self) -> JSONPreview:
        """Show the description in kedro-viz."""
        path = Path(self._get_load_path()) / DESCRIPTION
        return JSONPreview(json.dumps(json.loads(path.read_text(encoding="utf-8"))))

    def _exists(self) -> bool:
        return Path(self._get_load_path(), DESCRIPTION).is_file()

    def _describe(self) -> dict[str, Any]:
        return {"filepath": self._filepath, "version": self._version}
