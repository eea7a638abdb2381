"""binary.model, multilabel.model, sheets, masks -> cascade.unets, cascade.metrics, cascade.submission and figures.

::

    binary.split, binary.model --> hand_over_model --> cascade_gate_split ("gate_split"), cascade_gate ("gate")
    multilabel.split, multilabel.model --> hand_over_model --> cascade_split ("split"), cascade_labels ("labels")
    sheets, masks, split --> train_unets --> unets, histories
    gate, labels, unets, sheets, masks, gate_split, split --> predict_held_out --> predictions, counts
    predictions, counts --> choose_thresholds --> thresholds
    models, predictions, counts, thresholds --> measure_cascade --> metrics --> plot_scores --> scores
    models, predictions, counts, thresholds --> plot_examples --> examples
    models, thresholds, raw_unlabelled_sheets --> write_submission --> submission
"""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    choose_thresholds,
    hand_over_model,
    measure_cascade,
    plot_examples,
    plot_scores,
    predict_held_out,
    train_unets,
    write_submission,
)

TAG = "cascade"
MODELS = ["cascade_gate", "cascade_labels", "unets"]


def create_pipeline() -> Pipeline:
    """Train the U-Nets, choose the thresholds, score the cascade and write its submission."""
    return (
        _handover("binary", "cascade_gate_split", "cascade_gate")
        + _handover("multilabel", "cascade_split", "cascade_labels")
        + _cascade()
    )


def create_evaluation_pipeline() -> Pipeline:
    """Do the same with models that are there: trained before, or put in a step's place."""
    whole = create_pipeline()
    return whole - whole.only_nodes("cascade.train_unets")


def _handover(task: str, split: str, model: str) -> Pipeline:
    """Kedro warns of names with a dot outside of a namespace, so that a node within hands them over."""
    node = Node(hand_over_model, inputs=["split", "model"], outputs=[split, model], name=f"hand_over_to_{TAG}")
    return Pipeline([node], namespace=task, tags=TAG, outputs={split, model})


def _cascade() -> Pipeline:
    template = Pipeline(
        [
            Node(
                train_unets,
                inputs=[
                    "sheets",
                    "masks",
                    "sheet_index",
                    "cascade_split",
                    "params:cascade.network",
                    "params:cascade.training",
                    "params:cascade.dice_smoothing",
                    "params:cascade.negatives_per_positive",
                    "params:compute",
                    "params:class_names",
                    "params:data_source",
                    "params:seed",
                    "training_folder",
                ],
                outputs=["unets", "histories"],
                name="train_unets",
                tags="needs_masks",
            ),
            Node(
                predict_held_out,
                inputs=[
                    *MODELS,
                    "sheets",
                    "masks",
                    "cascade_gate_split",
                    "cascade_split",
                    "params:class_names",
                    "params:data_source",
                    "params:cascade",
                ],
                outputs=["predictions", "counts"],
                name="predict_held_out",
                tags="needs_masks",
            ),
            Node(
                choose_thresholds,
                inputs=["predictions", "counts", "params:class_names", "params:cascade"],
                outputs="thresholds",
                name="choose_thresholds",
            ),
            Node(
                measure_cascade,
                inputs=[
                    *MODELS,
                    "sheets",
                    "predictions",
                    "counts",
                    "thresholds",
                    "params:class_names",
                    "params:data_source",
                    "params:seed",
                    "params:cascade",
                ],
                outputs="metrics",
                name="measure_cascade",
            ),
            Node(plot_scores, inputs="metrics", outputs="scores", name="plot_scores"),
            Node(
                plot_examples,
                inputs=[
                    *MODELS,
                    "sheets",
                    "masks",
                    "predictions",
                    "counts",
                    "thresholds",
                    "params:class_names",
                    "params:data_source",
                    "params:cascade",
                ],
                outputs="examples",
                name="plot_examples",
            ),
            Node(
                write_submission,
                inputs=[
                    *MODELS,
                    "sheets",
                    "thresholds",
                    "raw_unlabelled_sheets",
                    "params:class_names",
                    "params:raw_size",
                    "params:cascade",
                ],
                outputs="submission",
                name="write_submission",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace="cascade",
        tags=TAG,
        inputs={
            "sheets",
            "masks",
            "sheet_index",
            "cascade_gate_split",
            "cascade_gate",
            "cascade_split",
            "cascade_labels",
            "raw_unlabelled_sheets",
        },
        parameters={
            "params:cascade",
            "params:cascade.network",
            "params:cascade.training",
            "params:cascade.dice_smoothing",
            "params:cascade.negatives_per_positive",
            "params:compute",
            "params:class_names",
            "params:data_source",
            "params:raw_size",
            "params:seed",
        },
    )
