"""{task}.model, sheets, {task}.split -> {task}.remedied_model -> {task}.stain_remedy."""

from kedro.pipeline import Node, Pipeline

from .nodes import compare_remedy, train_remedied


def create_pipeline(task: str) -> Pipeline:
    """Retrain the model of ``task`` with stains on all kinds of sheets and audit both."""
    template = Pipeline(
        [
            Node(
                train_remedied,
                inputs=[
                    "model",
                    "sheets",
                    "masks",
                    "split",
                    "params:stain_remedy",
                    "params:data_processing",
                    "remedy_folder",
                ],
                outputs="remedied_model",
                name="train_remedied",
            ),
            Node(
                compare_remedy,
                inputs=[
                    "model",
                    "remedied_model",
                    "sheets",
                    "masks",
                    "sheet_index",
                    "split",
                    "params:data_source",
                    "params:stain_audit",
                    "params:data_processing",
                    "params:training",
                    "params:evaluation",
                ],
                outputs="stain_remedy",
                name="compare_remedy",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="stain_remedy",
        inputs={"sheets", "masks", "sheet_index"},
        parameters={"params:data_source", "params:stain_audit", "params:stain_remedy", "params:data_processing"},
    )
