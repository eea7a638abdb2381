"""Trained models, classifiers and segmenters, as a folder of safetensors weights and a JSON description."""

import json
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractVersionedDataset, DatasetError
from kedro.io.core import Version
from kedro_datasets._typing import JSONPreview

from .files import replacing

if TYPE_CHECKING:
    import torch

    from steel_xai.classifier import Classifier
    from steel_xai.segmentation.segmenter import Segmenter

    Model = Classifier | Segmenter

WEIGHTS, DESCRIPTION = "model.safetensors", "model.json"


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
        from safetensors import SafetensorError
        from safetensors.torch import load_file

        folder = Path(self._get_load_path())
        try:
            description = json.loads((folder / DESCRIPTION).read_text(encoding="utf-8"))
            return _restore(description, load_file(folder / WEIGHTS))
        # pydantic's ValidationError and JSON's are ValueErrors
        except (OSError, ValueError, SafetensorError, RuntimeError) as error:
            raise DatasetError(
                f"{folder} holds no readable model ({error}); train it anew or load another version"
            ) from error

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


def _restore(description: Any, state: "dict[str, torch.Tensor]") -> "Model":
    if not isinstance(description, dict):
        raise ValueError(f"{DESCRIPTION} is no JSON object")
    if description.get("kind") == "segmenter":
        from steel_xai.segmentation.segmenter import SegmenterDescription, restore_segmenter

        return restore_segmenter(SegmenterDescription.model_validate(description), state)
    from steel_xai.classifier import ClassifierDescription, restore_classifier

    return restore_classifier(ClassifierDescription.model_validate(description), state)
