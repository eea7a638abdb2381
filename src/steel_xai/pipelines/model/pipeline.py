"""sheets, {task}.split -> {task}.model.

::

    sheets, masks, sheet_index, split --> train_model --> model, history --> plot_training_curves
"""

from kedro.pipeline import Node, Pipeline

from .nodes import plot_training_curves, train_model


def create_pipeline(task: str) -> Pipeline:
    """Train the classifier of ``task``."""
    template = Pipeline(
        [
            Node(
                train_model,
                inputs=[
                    "sheets",
                    "masks",
                    "sheet_index",
                    "split",
                    "params:splits",
                    "params:training",
                    "params:data_processing",
                    "params:compute",
                    "params:class_names",
                    "params:data_source",
                    "params:seed",
                    "training_folder",
                ],
                outputs=["model", "history"],
                name="train_model",
            ),
            Node(
                plot_training_curves,
                inputs=["history", "model"],
                outputs="training_curves",
                name="plot_training_curves",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="model",
        inputs={"sheets", "masks", "sheet_index"},
        parameters={
            "params:class_names",
            "params:data_source",
            "params:data_processing",
            "params:compute",
            "params:seed",
        },
    )
