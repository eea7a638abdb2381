"""sheets, masks, sheet_index -> {task}.comparison -> {task}.accuracy_against_time."""

from kedro.pipeline import Node, Pipeline

from .nodes import compare_models, plot_comparison


def create_pipeline(task: str) -> Pipeline:
    """Train and evaluate the variants of the model of ``task``; each draws its own split from the same sheets."""
    template = Pipeline(
        [
            Node(
                compare_models,
                inputs=[
                    "sheets",
                    "masks",
                    "sheet_index",
                    "params:comparison",
                    "params:splits",
                    "params:training",
                    "params:evaluation",
                    "params:data_processing",
                    "params:class_names",
                    "params:data_source",
                    "params:seed",
                    "comparison_folder",
                ],
                outputs="comparison",
                name="compare_models",
            ),
            Node(plot_comparison, inputs="comparison", outputs="accuracy_against_time", name="plot_comparison"),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="model_comparison",
        inputs={"sheets", "masks", "sheet_index"},
        parameters={"params:class_names", "params:data_processing", "params:data_source", "params:seed"},
    )
