"""Tables of the report from data frames."""

from collections.abc import Callable, Mapping
from typing import Any

import pandas as pd

from steel_xai.report.elements import Cell, Column, Row, Table, interval_cell, number_cell, text_cell
from steel_xai.report.formats import is_missing, sentence_case, words

Format = Callable[[Any], Cell]


def frame_table(
    title: str,
    frame: pd.DataFrame,
    *,
    names: Mapping[str, str] | None = None,
    formats: Mapping[str, Format] | None = None,
    digits: int = 3,
    signed: tuple[str, ...] = (),
    tone: Callable[[Mapping[str, Any]], Any] | None = None,
    note: str = "",
) -> Table:
    """Make a table; columns ``x``, ``x_low``, ``x_high`` become one of values with their 95 % intervals.

    Args:
        title: Above the table.
        frame: One row a row.
        names: The columns to show, in order, and their titles; without it all columns. Those that the frame lacks are
            left out.
        formats: Writes the values of a column.
        digits: Of numbers that are not whole.
        signed: Columns of differences.
        tone: Maps a row to what sets it apart.
        note: Under the table.
    """
    titles = names or {column: sentence_case(words(column)) for column in frame.columns if not _is_bound(frame, column)}
    shown = {column: text for column, text in titles.items() if column in frame.columns}
    places = {column: 0 if _is_whole(frame, column) else digits for column in shown}
    rows = [
        Row(
            [_cell(row, column, (formats or {}).get(column), places[column], column in signed) for column in shown],
            tone(row) if tone else "",
        )
        for row in frame.to_dict("records")
    ]
    columns = [Column(text, _align(frame[column])) for column, text in shown.items()]
    return Table(title, columns, rows, note)


def _is_bound(frame: pd.DataFrame, column: str) -> bool:
    return any(column.endswith(end) and column.removesuffix(end) in frame.columns for end in ("_low", "_high"))


def _align(column: pd.Series) -> Any:
    numeric = pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)
    return "right" if numeric else "left"


def _is_whole(frame: pd.DataFrame, column: str) -> bool:
    """Tell whether a column holds whole numbers only; one with intervals never does."""
    values = frame[column]
    if f"{column}_low" in frame or not pd.api.types.is_numeric_dtype(values):
        return False
    return bool((values.dropna() % 1 == 0).all())


def _cell(row: Mapping[str, Any], column: str, write: Format | None, digits: int, sign: bool) -> Cell:
    value = row[column]
    if is_missing(value):
        return number_cell(None)
    if write:
        return write(value)
    if isinstance(value, bool):
        return text_cell("yes" if value else "no")
    if isinstance(value, int | float) and not digits:
        return Cell(f"{int(value):,}", value)
    if isinstance(value, int | float):
        return interval_cell(value, row.get(f"{column}_low"), row.get(f"{column}_high"), digits, sign=sign)
    return text_cell(str(value))
