"""params:sample -> raw files of the source ``sample``."""

from kedro.pipeline import Node, Pipeline

from .nodes import write_sample


def create_pipeline() -> Pipeline:
    """Write the synthetic sample, also where one exists already."""
    write = Node(write_sample, inputs=["sample_folder", "params:sample"], outputs=None, name="write_sample")
    return Pipeline([write], tags="sample_data")
