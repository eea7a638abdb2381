"""What a study has made so far."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from kedro.io import AbstractDataset, DatasetError

if TYPE_CHECKING:
    from steel_xai.results import Result


class StudyResultsDataset(AbstractDataset[None, "dict[str, Result]"]):
    """The newest version of every result of a data source; loading it looks at the disk, and reads no result."""

    def __init__(
        self,
        *,
        path: str,
        data_source: str,
        model_source: str | None = None,
        metadata: dict[str, Any] | None = None,
    ):
        """Args: path of ``data_root``, which Kedro makes absolute by its name; globals; metadata as Kedro passes it."""
        self._data_root = Path(path)
        self._data_source = data_source
        self._model_source = model_source
        self.metadata = metadata

    def load(self) -> "dict[str, Result]":
        """Return the results by the names of their datasets, an empty dict where there are none."""
        from steel_xai.results import latest_results

        return latest_results(self._data_root, self._data_source, self._model_source)

    def save(self, data: None) -> None:
        """Refuse: each result is written by its own dataset."""
        raise DatasetError("the results of a study are only read")

    def _exists(self) -> bool:
        return self._data_root.is_dir()

    def _describe(self) -> dict[str, Any]:
        return {"path": self._data_root, "data_source": self._data_source, "model_source": self._model_source}
