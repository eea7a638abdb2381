"""raw_annotations, raw_sheets -> annotations -> sheet_statistics."""

from kedro.pipeline import Node, Pipeline

from steel_xai.pipelines import data_processing

from .nodes import compute_sheet_statistics


def create_pipeline() -> Pipeline:
    """Describe background and defects of a source, so that it can be compared with another."""
    statistics = Node(
        compute_sheet_statistics,
        inputs=["raw_sheets", "annotations", "params:class_names", "params:raw_size", "params:tensor_size"],
        outputs="sheet_statistics",
        name="compute_sheet_statistics",
    )
    return data_processing.create_pipeline().only_nodes("parse_annotations") + Pipeline(
        [statistics], tags="sheet_statistics"
    )
