"""JSON files."""

import json
from pathlib import Path
from typing import Any, NoReturn

from kedro_datasets import json as kedro_json

from steel_xai.errors import InputError
from steel_xai.plain_file import one_line, plain_file_size

from .atomic import AtomicSave


class JSONDataset(AtomicSave, kedro_json.JSONDataset):
    """kedro-datasets' JSONDataset, written atomically, indented, and refusing NaN, which is no JSON."""

    DEFAULT_SAVE_ARGS = {"indent": 2, "allow_nan": False}  # noqa: RUF012, the parent's own way

    def load(self) -> Any:
        """Return the object.

        Raises:
            InputError: The file is no whole JSON; it names the file.
        """
        path = Path(self._get_load_path())
        plain_file_size(path)
        try:
            return json.loads(path.read_text(encoding="utf-8"), parse_constant=_refuse)
        except (OSError, ValueError, RecursionError) as error:
            raise InputError(
                f"{path} is no readable JSON ({one_line(error)}); make it anew or load another version."
            ) from error

    def save(self, data: Any) -> None:
        """Write the object."""
        self.save_atomically(kedro_json.JSONDataset.save, data)


def _refuse(constant: str) -> NoReturn:
    raise ValueError(f"{constant} is no JSON number")
