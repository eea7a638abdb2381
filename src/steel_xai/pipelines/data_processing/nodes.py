"""Nodes of the pipeline ``data_processing``."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import ProcessingParameters
from steel_xai.raw_files import RawFile
from steel_xai.types import Array, DataFrame


def parse_annotations(
    raw_annotations: DataFrame, raw_sheets: dict[str, RawFile], class_names: list[str], raw_size: list[int]
) -> Any:
    """Read labels and run lengths; what cannot be used is kept with its reason."""
    from steel_xai.sheets.annotations import read_annotations

    height, width = raw_size
    return read_annotations(raw_annotations, raw_sheets, class_names, (height, width))


def process_raw_sheets(
    raw_sheets: dict[str, RawFile],
    annotations: Any,
    class_names: list[str],
    raw_size: list[int],
    tensor_size: list[int],
    channels: int,
    data_processing: ProcessingParameters,
    processing_folder: Path,
) -> tuple[Path, Path, DataFrame, DataFrame]:
    """Decode sheets and masks into staged arrays; return them with the accepted and the refused sheets."""
    from steel_xai.sheets.processing import process_sheets

    result = process_sheets(
        raw_sheets,
        annotations,
        raw_size=(raw_size[0], raw_size[1]),
        tensor_size=(tensor_size[0], tensor_size[1]),
        channels=channels,
        class_count=len(class_names),
        parameters=data_processing,
        folder=processing_folder,
    )
    return result.sheets, result.masks, result.index, result.quarantine


def index_sheets(
    sheets: Array,
    accepted_sheets: DataFrame,
    quarantine: DataFrame,
    stained_sheets: DataFrame | None,
    data_processing: ProcessingParameters,
) -> DataFrame:
    """Add to the accepted sheets which carry white stains and which are near-duplicates of each other."""
    from steel_xai.sheets import indexing

    return indexing.index_sheets(sheets, accepted_sheets, quarantine, stained_sheets, data_processing)
