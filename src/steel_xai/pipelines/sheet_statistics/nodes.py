"""Nodes of the pipeline ``sheet_statistics``."""

from typing import Any

from steel_xai.raw_files import RawFile
from steel_xai.types import DataFrame


def compute_sheet_statistics(
    raw_sheets: dict[str, RawFile],
    annotations: Any,
    class_names: list[str],
    raw_size: list[int],
    tensor_size: list[int],
) -> DataFrame:
    """Measure background, masks, and how well trivial maps localise the defects."""
    from steel_xai.sheets.raw import read_raw_sheets
    from steel_xai.sheets.statistics import sheet_statistics

    height, width = raw_size
    sheets = read_raw_sheets(raw_sheets, annotations, (height, width), len(class_names))
    return sheet_statistics(sheets, class_names, (tensor_size[0], tensor_size[1]))
