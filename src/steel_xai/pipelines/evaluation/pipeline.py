"""{task}.model -> {task}.predictions -> {task}.metrics, {task}.calibration, {task}.abstention and figures.

::

    model, sheets, split --> predict_sheets --> predictions
    sheets, split --> predict_baseline --> baseline_probabilities --------\
    raw_sheets, model --> time_sheets --> throughput ---------------------+--> measure_model --> metrics
    model, predictions, sheets, sheet_index, split -----------------------/        |
                                                                       plot_recall_by_defect
    predictions, model --> plot_roc_curve, plot_confusion_matrix
    predictions --> calibrate_model --> calibration --> plot_reliability_diagram
    predictions --> answer_above_thresholds --> abstention, metrics --> plot_abstention_curve
"""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    answer_above_thresholds,
    calibrate_model,
    measure_model,
    plot_abstention_curve,
    plot_confusion_matrix,
    plot_recall_by_defect,
    plot_reliability_diagram,
    plot_roc_curve,
    predict_baseline,
    predict_sheets,
    time_sheets,
)


def create_pipeline(task: str) -> Pipeline:
    """Predict with the classifier of ``task`` the sheets it has not seen, and evaluate it on the test sheets."""
    template = Pipeline(
        [
            Node(
                predict_baseline,
                inputs=["sheets", "split", "params:splits", "params:evaluation", "params:class_names", "params:seed"],
                outputs="baseline_probabilities",
                name="predict_baseline",
            ),
            Node(
                predict_sheets,
                inputs=["model", "sheets", "split", "params:data_source", "params:training", "params:evaluation"],
                outputs="predictions",
                name="predict_sheets",
            ),
            Node(
                time_sheets,
                inputs=["model", "raw_sheets", "params:raw_size", "params:training", "params:evaluation"],
                outputs="throughput",
                name="time_sheets",
            ),
            Node(
                measure_model,
                inputs=[
                    "model",
                    "predictions",
                    "baseline_probabilities",
                    "sheets",
                    "sheet_index",
                    "split",
                    "throughput",
                    "params:class_names",
                    "params:data_source",
                    "params:raw_size",
                    "params:training",
                    "params:evaluation",
                ],
                outputs="metrics",
                name="measure_model",
            ),
            Node(
                calibrate_model,
                inputs=["predictions", "model", "params:data_source", "params:evaluation"],
                outputs="calibration",
                name="calibrate_model",
            ),
            Node(answer_above_thresholds, inputs="predictions", outputs="abstention", name="answer_above_thresholds"),
            Node(
                plot_roc_curve,
                inputs=["predictions", "model", "params:data_source"],
                outputs="roc_curve",
                name="plot_roc_curve",
            ),
            Node(
                plot_confusion_matrix,
                inputs=["predictions", "model", "params:data_source"],
                outputs="confusion_matrix",
                name="plot_confusion_matrix",
            ),
            Node(
                plot_reliability_diagram,
                inputs="calibration",
                outputs="reliability_diagram",
                name="plot_reliability_diagram",
            ),
            Node(
                plot_abstention_curve,
                inputs=["abstention", "metrics"],
                outputs="abstention_curve",
                name="plot_abstention_curve",
            ),
            Node(plot_recall_by_defect, inputs="metrics", outputs="recall_by_defect", name="plot_recall_by_defect"),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="evaluation",
        inputs={"sheets", "sheet_index", "raw_sheets"},
        parameters={"params:class_names", "params:data_source", "params:raw_size", "params:seed"},
    )
