"""sheet_index -> {task}.examples -> {task}.sheet_split -> {task}.split -> {task}.class_distribution."""

from kedro.pipeline import Node, Pipeline

from .nodes import copy_rare_classes, label_examples, plot_class_distribution, split_examples


def create_pipeline(task: str) -> Pipeline:
    """Label the sheets for ``task``, split them, and copy rare classes; near-duplicate sheets stay in one split.

    ``examples`` and ``sheet_split`` (without copies) are kept in memory only.
    """
    template = Pipeline(
        [
            Node(label_examples, inputs=["sheet_index", "params:splits"], outputs="examples", name="label_examples"),
            Node(
                split_examples,
                inputs=["examples", "params:splits", "params:seed"],
                outputs="sheet_split",
                name="split_examples",
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
        namespace=task,
        tags="splits",
        inputs="sheet_index",
        parameters={"params:seed", "params:class_names", "params:data_source"},
    )
