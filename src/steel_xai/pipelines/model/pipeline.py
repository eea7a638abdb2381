"""sheets, {task}.split -> {task}.model -> {task}.predictions.

::

    sheets, masks, sheet_index, split --> train_model --> model, history --> plot_training_curves
                                              |
    sheets, split ----------------------> predict_sheets --> predictions
"""

from kedro.pipeline import Node, Pipeline

from .nodes import plot_training_curves, predict_sheets, train_model


def create_pipeline(task: str) -> Pipeline:
    """Train the classifier of ``task`` and predict the sheets it has not seen."""
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
            Node(
                predict_sheets,
                inputs=["model", "sheets", "split", "params:training", "params:evaluation"],
                outputs="predictions",
                name="predict_sheets",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        inputs={"sheets", "masks", "sheet_index"},
        parameters={"params:class_names", "params:data_source", "params:seed"},
    )
