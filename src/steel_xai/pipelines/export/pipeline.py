"""{task}.model, {task}.calibration, {task}.metrics -> {task}.exported_model, {task}.export_check.

::

    model, calibration, metrics -----\
    sheets, split, raw_sheets --------+--> export_model --> exported_model, export_check
"""

from kedro.pipeline import Node, Pipeline

from .nodes import export_model


def create_pipeline(task: str) -> Pipeline:
    """Export the classifier of ``task``; the test sheets show that the file says what the model says."""
    template = Pipeline(
        [
            Node(
                export_model,
                inputs=[
                    "model",
                    "calibration",
                    "metrics",
                    "sheets",
                    "split",
                    "raw_sheets",
                    "params:data_source",
                    "params:raw_size",
                ],
                outputs=["exported_model", "export_check"],
                name="export_model",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="export",
        inputs={"sheets", "raw_sheets"},
        parameters={"params:data_source", "params:raw_size"},
    )
