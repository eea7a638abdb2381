"""Tables as CSV files: results of the project, and tables that a user provides."""

import codecs
import csv
import re
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
from kedro_datasets import pandas
from pandas.errors import EmptyDataError, ParserError, ParserWarning

from steel_xai.errors import InputError
from steel_xai.plain_file import one_line, plain_file_size
from steel_xai.raw_files import exists, is_url, local_copy, open_file_system, raw_place

from .atomic import AtomicSave

TEXT_COLUMNS = ("image_id", "reason")
"""Columns of the project's tables that are text whatever they look like: ``0001``, ``12e45``, ``NA``, or nothing."""

_CHUNK_BYTES = 1 << 20
_MAX_COLUMNS = 100
_UNREADABLE = (OSError, ValueError, ParserWarning)  # pandas' EmptyDataError and ParserError are ValueErrors


class CSVDataset(AtomicSave, pandas.CSVDataset):
    """kedro-datasets' CSVDataset, written atomically; the columns of ``TEXT_COLUMNS`` are read as text."""

    def load(self) -> pd.DataFrame:
        """Return the table; empty cells are NaN but in text columns, where they are empty text.

        Raises:
            InputError: The file is no whole table, as it was written; it names the file.
        """
        path = Path(self._get_load_path())
        plain_file_size(path)
        try:
            _check_text(path, ends_with_newline=True)
            table = _read_strictly(path, {"index_col": False, **self._load_args})
            names = [name for name in TEXT_COLUMNS if name in table.columns]
            if names:
                # pandas has no way to look for missing values in some columns only, not even by converters
                table[names] = pd.read_csv(path, usecols=names, dtype=str, keep_default_na=False, nrows=len(table))
        except _UNREADABLE as error:
            raise InputError(
                f"{path} cannot be read as a table: {_problem(error)}. Make it anew, or load another version of it."
            ) from error
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

    def __init__(self, *, filepath: str, **options: Any):
        """Args: filepath, which may be a URL; options as kedro-datasets' own."""
        self._place = raw_place(filepath, Path())
        if is_url(self._place):
            open_file_system(self._place)  # tells better than the parent what is missing
        super().__init__(filepath=filepath, **options)

    def load(self) -> Any:
        """Return the table.

        Raises:
            InputError: The file is empty, no UTF-8 text, no plain file, has NUL characters or an open quote, or a line
                has more cells than the header; it names the file, and the line where it is known.
        """
        with local_copy(self._place) as path:
            plain_file_size(path)
            try:
                _check_text(path)
                return _read_strictly(path, self._load_args)
            except _UNREADABLE as error:
                raise InputError(
                    f"{self._place} cannot be read as a table: {_problem(error)}. Correct it, "
                    "or save it anew as comma-separated text in UTF-8 with one line of column names."
                ) from error

    def _exists(self) -> bool:
        return exists(self._place)


class OptionalCSVDataset(RawCSVDataset):
    """A table that the user may or may not provide: None where there is no such file."""

    def load(self) -> Any:
        """Return the table, or None."""
        return super().load() if self.exists() else None


def _read_strictly(path: Path, options: dict[str, Any]) -> pd.DataFrame:
    """Read a table; a ParserWarning, which tells of lost cells, is raised."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ParserWarning)
        table: pd.DataFrame = pd.read_csv(path, **options)
    return table


def _check_text(path: Path, *, ends_with_newline: bool = False) -> None:
    """Read a file once in chunks, and raise what pandas would not, or only after a very long time.

    Raises:
        ParserError: It is no UTF-8 text, has NUL characters or more columns than any table, or lacks the newline with
            which every whole file of the project ends.
    """
    decoder, line, last = codecs.getincrementaldecoder("utf-8-sig")(), 1, "\n"
    with path.open("rb") as file:
        while True:
            chunk = file.read(_CHUNK_BYTES)
            try:
                text = decoder.decode(chunk, final=not chunk)
            except UnicodeDecodeError as error:
                line += error.object.count(b"\n", 0, error.start)
                raise ParserError(f"line {line} is no UTF-8 text") from error
            if (nul := text.find("\0")) >= 0:
                raise ParserError(f"line {line + text.count(chr(10), 0, nul)} has a NUL character")
            if not chunk:
                break
            line += text.count("\n")
            last = text[-1:] or last
    if ends_with_newline and last != "\n":
        raise ParserError(f"it ends in the middle of line {line}")
    _check_header(path)


def _check_header(path: Path) -> None:
    """Raise ParserError for a line of very many column names, of which pandas takes hours to tell duplicates."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        try:
            header = next((row for row in csv.reader(file) if len(row) > 1 or "".join(row).strip()), [])
        except csv.Error as error:
            raise ParserError("the line of column names is too long, or a quote in it is never closed") from error
    if len(header) > _MAX_COLUMNS:
        raise ParserError(f"the header has {len(header)} columns; at most {_MAX_COLUMNS} can be told apart")


def _problem(error: Exception) -> str:
    """Say in the user's words what pandas found."""
    if isinstance(error, EmptyDataError):
        return "it is empty"
    if isinstance(error, ParserWarning):
        return "line 2 has more cells than the header"
    message = str(error).strip()
    if cells := re.search(r"Expected (\d+) fields in line (\d+), saw (\d+)", message):
        return f"line {cells[2]} has {cells[3]} cells, but the header has {cells[1]}"
    if quote := re.search(r"EOF inside string starting at row (\d+)", message):
        return f"the quote that opens in line {int(quote[1]) + 1} is never closed"
    return one_line(message)
