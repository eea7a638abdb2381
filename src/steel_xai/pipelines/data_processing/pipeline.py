"""raw_annotations, raw_sheets -> annotations -> sheets, masks, quarantine -> sheet_index."""

from kedro.pipeline import Node, Pipeline

from .nodes import index_sheets, parse_annotations, process_raw_sheets


def create_pipeline() -> Pipeline:
    """Turn the raw files of a source into tensors; what is refused is counted in ``quarantine``."""
    return Pipeline(
        [
            Node(
                parse_annotations,
                inputs=["raw_annotations", "raw_sheets", "params:class_names", "params:raw_size"],
                outputs="annotations",
                name="parse_annotations",
            ),
            Node(
                process_raw_sheets,
                inputs=[
                    "raw_sheets",
                    "annotations",
                    "params:class_names",
                    "params:raw_size",
                    "params:tensor_size",
                    "params:channels",
                    "params:data_processing",
                    "processing_folder",
                ],
                outputs=["sheets", "masks", "accepted_sheets", "quarantine"],
                name="process_raw_sheets",
            ),
            Node(
                index_sheets,
                inputs=["sheets", "accepted_sheets", "quarantine", "stained_sheets", "params:data_processing"],
                outputs="sheet_index",
                name="index_sheets",
            ),
        ],
        tags="data_processing",
    )
