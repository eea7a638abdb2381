"""{task}.model, {task}.predictions -> {task}.metrics, {task}.calibration, {task}.abstention and figures.

::

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
    time_sheets,
)


def create_pipeline(task: str) -> Pipeline:
    """Evaluate the classifier of ``task`` on its test sheets."""
    template = Pipeline(
        [
            Node(
                predict_baseline,
                inputs=["sheets", "split", "params:splits", "params:evaluation", "params:class_names", "params:seed"],
                outputs="baseline_probabilities",
                name="predict_baseline",
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
                    "params:raw_size",
                    "params:training",
                    "params:evaluation",
                ],
                outputs="metrics",
                name="measure_model",
            ),
            Node(
                calibrate_model,
                inputs=["predictions", "model", "params:evaluation"],
                outputs="calibration",
                name="calibrate_model",
            ),
            Node(answer_above_thresholds, inputs="predictions", outputs="abstention", name="answer_above_thresholds"),
            Node(plot_roc_curve, inputs=["predictions", "model"], outputs="roc_curve", name="plot_roc_curve"),
            Node(
                plot_confusion_matrix,
                inputs=["predictions", "model"],
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
        inputs={"sheets", "sheet_index", "raw_sheets"},
        parameters={"params:class_names", "params:raw_size", "params:seed"},
    )
