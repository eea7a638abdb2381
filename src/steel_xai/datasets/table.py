"""Tables as CSV files: results of the project, and tables that a user provides."""

import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from kedro_datasets import pandas
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from steel_xai.errors import InputError

from .atomic import AtomicSave

TEXT_COLUMNS = ("image_id", "reason")
"""Columns of the project's tables that are text whatever they look like: ``0001``, ``12e45``, ``NA``, or nothing."""


class CSVDataset(AtomicSave, pandas.CSVDataset):
    """kedro-datasets' CSVDataset, written atomically; the columns of ``TEXT_COLUMNS`` are read as text."""

    def load(self) -> pd.DataFrame:
        """Return the table; empty cells are NaN but in text columns, where they are empty text."""
        table: pd.DataFrame = super().load()
        names = [name for name in TEXT_COLUMNS if name in table.columns]
        if names:
            # pandas has no way to look for missing values in some columns only, not even by converters
            path = self._get_load_path()
            table[names] = pd.read_csv(path, usecols=names, dtype=str, keep_default_na=False, nrows=len(table))
        return table

    def save(self, data: pd.DataFrame) -> None:
        """Write the table."""
        self.save_atomically(pandas.CSVDataset.save, data)


class RawCSVDataset(pandas.CSVDataset):
    """A table of the user's own, every cell as text; what cannot be read without loss is an InputError."""

    DEFAULT_LOAD_ARGS = {  # noqa: RUF012, the parent's own way
        "dtype": str,
        "keep_default_na": False,
        "index_col": False,
        "encoding": "utf-8-sig",
        # In one piece, so that every line is compared with the header.
        "low_memory": False,
    }

    def load(self) -> Any:
        """Return the table.

        Raises:
            InputError: The file is empty, no UTF-8 text, has NUL characters or an open quote, or a line has more cells
                than the header; it names the file, and the line where it is known.
        """
        path = Path(self._get_load_path())
        try:
            _check_text(path.read_bytes())
            with warnings.catch_warnings():
                warnings.simplefilter("error", ParserWarning)
                return pd.read_csv(path, **self._load_args)
        except (EmptyDataError, ParserError, ParserWarning, UnicodeDecodeError) as error:
            raise InputError(
                f"{path} cannot be read as a table: {_problem(error)}. Correct it, "
                "or save it anew as comma-separated text in UTF-8 with one line of column names."
            ) from error


class OptionalCSVDataset(RawCSVDataset):
    """A table that the user may or may not provide: None where there is no such file."""

    def load(self) -> Any:
        """Return the table, or None."""
        return super().load() if self.exists() else None


def _check_text(content: bytes) -> None:
    """Raise ParserError for NUL characters, which pandas lets pass, and UnicodeDecodeError for anything but UTF-8."""
    content.decode("utf-8-sig")
    if (nul := content.find(b"\0")) >= 0:
        raise ParserError(f"line {_line(content, nul)} has a NUL character")


def _line(content: bytes, position: int) -> int:
    return content.count(b"\n", 0, position) + 1


def _problem(error: Exception) -> str:
    """Say in the user's words what pandas found."""
    if isinstance(error, EmptyDataError):
        return "it is empty"
    if isinstance(error, UnicodeDecodeError):
        return f"line {_line(error.object, error.start)} is no UTF-8 text"
    if isinstance(error, ParserWarning):
        return "line 2 has more cells than the header"
    message = str(error).strip()
    if cells := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        return f"line {cells[2]} has {cells[3]} cells, but the header has {cells[1]}"
    if quote := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"the quote that opens in line {int(quote[1]) + 1} is never closed"
    return message
