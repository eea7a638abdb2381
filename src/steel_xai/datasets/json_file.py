"""JSON files."""

from typing import Any

from kedro_datasets import json

from .atomic import AtomicSave


class JSONDataset(AtomicSave, json.JSONDataset):
    """kedro-datasets' JSONDataset, written atomically, indented, and refusing NaN, which is no JSON."""

    DEFAULT_SAVE_ARGS = {"indent": 2, "allow_nan": False}  # noqa: RUF012, the parent's own way

    def save(self, data: Any) -> None:
        """Write the object."""
        self.save_atomically(json.JSONDataset.save, data)
