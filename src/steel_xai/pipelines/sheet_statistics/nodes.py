"""Nodes of the pipeline ``sheet_statistics``."""

from pathlib import Path
from typing import Any

from steel_xai.types import DataFrame


def compute_sheet_statistics(
    raw_sheets: dict[str, Path], annotations: Any, class_names: list[str], raw_size: list[int]
) -> DataFrame:
    """Measure background, masks and how well trivial maps localise the defects."""
    raise NotImplementedError
