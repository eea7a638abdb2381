"""Samples of its own, each with a binary classifier -> stain_audit_check."""

from kedro.pipeline import Node, Pipeline

from .nodes import check_known_answers


def create_pipeline() -> Pipeline:
    """Check the audit where the answer is known; it needs no data and no model."""
    return Pipeline(
        [
            Node(
                check_known_answers,
                inputs=[
                    "params:stain_audit_check",
                    "params:sample",
                    "params:data_processing",
                    "params:binary.splits",
                    "params:binary.training",
                    "params:binary.evaluation",
                    "params:stain_audit",
                    "params:class_names",
                    "params:raw_size",
                    "params:tensor_size",
                    "params:channels",
                    "audit_check_folder",
                ],
                outputs="stain_audit_check",
                name="check_known_answers",
            )
        ],
        tags="stain_audit_check",
    )
