"""sheets, masks, multilabel.split -> three networks -> segmentation.metrics, {task}.supervised_scores and figures.

::

    multilabel.split --> hand_over_split --> segmentation_split ("split")
    sheets, masks, split --> train_<network> --> <network>, <network>_history --> plot_training_curves
    <network> ... --> gather_networks --> segmentation_networks ("networks")
    networks, sheets, masks, split --> measure_networks --> counts, metrics --> plot_scores, plot_examples
    networks, {task}.split --> score_networks --> {task}.supervised_scores
"""

import warnings

from kedro.pipeline import Node, Pipeline

from .nodes import (
    gather_networks,
    hand_over_split,
    measure_networks,
    plot_examples,
    plot_scores,
    plot_training_curves,
    score_networks,
    train_network,
)

NETWORKS = ("fcn32_cross_entropy", "fcn32_soft_dice", "unet")
TAG = "segmentation"


def create_pipeline(tasks: tuple[str, ...]) -> Pipeline:
    """Train the networks, score them, and score them beside the explanations of each task."""
    return sum((_scores_beside_explanations(task) for task in tasks), _handover() + _networks())


def _handover() -> Pipeline:
    """Kedro warns of names with a dot outside of a namespace, so that a node of its own hands over the split."""
    template = Pipeline([Node(hand_over_split, inputs="split", outputs="segmentation_split", name="hand_over_split")])
    return Pipeline(template, namespace="multilabel", tags=TAG, outputs={"segmentation_split"})


def _networks() -> Pipeline:
    trainings = [
        Node(
            train_network,
            inputs=[
                "sheets",
                "masks",
                "sheet_index",
                "segmentation_split",
                f"params:segmentation.networks.{name}",
                "params:segmentation.training",
                "params:segmentation.dice_smoothing",
                "params:compute",
                "params:class_names",
                "params:data_source",
                "params:seed",
                f"{name}_folder",
            ],
            outputs=[name, f"{name}_history"],
            name=f"train_{name}",
            tags="needs_masks",
        )
        for name in NETWORKS
    ]
    template = Pipeline(
        [
            *trainings,
            Node(
                gather_networks,
                inputs={name: name for name in NETWORKS},
                outputs="segmentation_networks",
                name="gather_networks",
            ),
            Node(
                measure_networks,
                inputs=[
                    "segmentation_networks",
                    "sheets",
                    "masks",
                    "segmentation_split",
                    "params:class_names",
                    "params:data_source",
                    "params:seed",
                    "params:segmentation",
                ],
                outputs=["counts", "metrics"],
                name="measure_networks",
            ),
            Node(
                plot_training_curves,
                inputs={"networks": "segmentation_networks", **{name: f"{name}_history" for name in NETWORKS}},
                outputs="training_curves",
                name="plot_training_curves",
            ),
            Node(
                plot_scores,
                inputs=["metrics", "params:class_names"],
                outputs=["dice_by_class", "sheets_by_number_of_classes"],
                name="plot_scores",
            ),
            Node(
                plot_examples,
                inputs=[
                    "segmentation_networks",
                    "counts",
                    "sheets",
                    "masks",
                    "params:class_names",
                    "params:data_source",
                    "params:segmentation",
                ],
                outputs="examples",
                name="plot_examples",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace="segmentation",
        tags=TAG,
        inputs={"sheets", "masks", "sheet_index", "segmentation_split"},
        outputs={"segmentation_networks"},
        parameters={
            "params:segmentation",
            "params:segmentation.training",
            "params:segmentation.dice_smoothing",
            *(f"params:segmentation.networks.{name}" for name in NETWORKS),
            "params:compute",
            "params:class_names",
            "params:data_source",
            "params:seed",
        },
    )


def _scores_beside_explanations(task: str) -> Pipeline:
    # The split within the task's namespace leads to the networks outside of it and they to the table within: Kedro
    # warns of a node there, which would interrupt the namespace, as well as of names with a dot anywhere else.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        node = Node(
            score_networks,
            inputs=[
                "segmentation_networks",
                "sheets",
                "masks",
                "segmentation_split",
                f"{task}.split",
                f"params:{task}.splits",
                f"params:{task}.interpretation",
                "params:segmentation",
                "params:seed",
            ],
            outputs=f"{task}.supervised_scores",
            name=f"score_networks_of_{task}_task",
            tags=TAG,
        )
    return Pipeline([node])
