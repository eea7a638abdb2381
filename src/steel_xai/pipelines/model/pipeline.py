"""sheets, {task}.split -> {task}.model -> {task}.predictions -> {task}.metrics and figures.

::

    sheets, sheet_index, split --> train_model --> model, history --> plot_training_curves
                                        |
    sheets, split --------------------> predict_sheets --> predictions --> plot_roc_curve, plot_confusion_matrix
                                                              |
    sheets, split --> predict_baseline --> baseline_probabilities, predictions, model --> measure_model --> metrics
"""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    measure_model,
    plot_confusion_matrix,
    plot_roc_curve,
    plot_training_curves,
    predict_baseline,
    predict_sheets,
    train_model,
)


def create_pipeline(task: str) -> Pipeline:
    """Train and evaluate the classifier of ``task``."""
    template = Pipeline(
        [
            Node(
                train_model,
                inputs=[
                    "sheets",
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
                predict_sheets,
                inputs=["model", "sheets", "split", "params:training", "params:evaluation"],
                outputs="predictions",
                name="predict_sheets",
            ),
            Node(
                predict_baseline,
                inputs=["sheets", "split", "params:splits", "params:evaluation", "params:class_names", "params:seed"],
                outputs="baseline_probabilities",
                name="predict_baseline",
            ),
            Node(
                measure_model,
                inputs=[
                    "model",
                    "predictions",
                    "baseline_probabilities",
                    "sheets",
                    "params:training",
                    "params:evaluation",
                ],
                outputs="metrics",
                name="measure_model",
            ),
            Node(
                plot_training_curves,
                inputs=["history", "model"],
                outputs="training_curves",
                name="plot_training_curves",
            ),
            Node(plot_roc_curve, inputs=["predictions", "model"], outputs="roc_curve", name="plot_roc_curve"),
            Node(
                plot_confusion_matrix,
                inputs=["predictions", "model"],
                outputs="confusion_matrix",
                name="plot_confusion_matrix",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        inputs={"sheets", "sheet_index"},
        parameters={"params:class_names", "params:data_source", "params:seed"},
    )
