"""sheet_index, binary.split, multi.split -> multilabel.split -> multilabel.model -> multilabel.metrics and figures.

::

    both other tasks' split --> hand_over_split --\
    sheet_index --> label_examples --> examples --+--> hold_out_together --> copy_rare_classes --> split
    sheets, masks, sheet_index, split --> train_model --> model, history --> plot_training_curves
    model, sheets, split --> predict_sheets --> predictions, thresholds ----------------+--> measure_model --> metrics
    sheets, split --> predict_baseline --> baseline_predictions, baseline_thresholds ---/         |
    split --> plot_class_distribution                                                     plot_class_scores
    predictions, model --> plot_label_sets, plot_thresholds
    model, predictions, sheets, masks --> explain_layers --> layer_shap_relevance, layer_shap
"""

from kedro.pipeline import Node, Pipeline

from steel_xai.config import MULTILABEL, TASKS
from steel_xai.pipelines import model
from steel_xai.pipelines.splits.nodes import copy_rare_classes, label_examples, plot_class_distribution

from .nodes import (
    explain_layers,
    hand_over_split,
    hold_out_together,
    measure_model,
    plot_class_scores,
    plot_label_sets,
    plot_thresholds,
    predict_baseline,
    predict_sheets,
)


def create_pipeline() -> Pipeline:
    """Split, train and evaluate the multi-label task, and look into its network; needs the other tasks' splits."""
    return create_split_pipeline() + model.create_pipeline(MULTILABEL) + _evaluation()


def create_split_pipeline() -> Pipeline:
    """Split all sheets so that what either other task tests on is held out; needs the other tasks' splits."""
    return sum((_hand_over(task) for task in TASKS), _split())


def _hand_over(task: str) -> Pipeline:
    """Kedro warns of names with a dot outside of their namespace, so that a task's own node hands over its split."""
    template = Pipeline([Node(hand_over_split, inputs="split", outputs="sheets", name="hand_over_split")])
    return Pipeline(template, namespace=task, outputs={"sheets": f"{task}_held_out"})


def _split() -> Pipeline:
    template = Pipeline(
        [
            Node(label_examples, inputs=["sheet_index", "params:splits"], outputs="examples", name="label_examples"),
            Node(
                hold_out_together,
                inputs=["examples", "binary_held_out", "multi_held_out"],
                outputs="sheet_split",
                name="hold_out_together",
            ),
            Node(
                copy_rare_classes,
                inputs=["sheet_split", "params:splits", "params:class_names", "params:seed"],
                outputs="split",
                name="copy_rare_classes",
            ),
            Node(
                plot_class_distribution,
                inputs=["split", "params:splits", "params:class_names", "params:data_source"],
                outputs="class_distribution",
                name="plot_class_distribution",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=MULTILABEL,
        inputs={"sheet_index", "binary_held_out", "multi_held_out"},
        parameters={"params:seed", "params:class_names", "params:data_source"},
    )


def _evaluation() -> Pipeline:
    template = Pipeline(
        [
            Node(
                predict_sheets,
                inputs=["model", "sheets", "split", "params:data_source", "params:training", "params:evaluation"],
                outputs=["predictions", "thresholds"],
                name="predict_sheets",
            ),
            Node(
                predict_baseline,
                inputs=["sheets", "split", "params:evaluation", "params:class_names", "params:seed"],
                outputs=["baseline_predictions", "baseline_thresholds"],
                name="predict_baseline",
            ),
            Node(
                measure_model,
                inputs=[
                    "model",
                    "predictions",
                    "thresholds",
                    "baseline_predictions",
                    "baseline_thresholds",
                    "sheets",
                    "split",
                    "params:data_source",
                    "params:training",
                    "params:evaluation",
                ],
                outputs="metrics",
                name="measure_model",
            ),
            Node(plot_class_scores, inputs="metrics", outputs="class_scores", name="plot_class_scores"),
            Node(
                plot_label_sets,
                inputs=["predictions", "model", "params:data_source"],
                outputs="label_sets",
                name="plot_label_sets",
            ),
            Node(
                plot_thresholds,
                inputs=["predictions", "thresholds", "model", "params:data_source"],
                outputs="threshold_curves",
                name="plot_thresholds",
            ),
            Node(
                explain_layers,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "masks",
                    "split",
                    "params:data_source",
                    "params:inner_layers",
                    "params:training",
                ],
                outputs=["layer_shap_relevance", "layer_shap"],
                name="explain_layers",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=MULTILABEL,
        inputs={"sheets", "masks"},
        parameters={"params:class_names", "params:data_source", "params:seed"},
    )
