"""{task}.model, the user's sheets -> explained_sheets, explanations.

::

    model, sheets, split, calibration, metrics --> explain_images --> explained_sheets, explanation_cards
    explained_sheets, explanation_cards, model, metrics --> write_page --> explanations
"""

from kedro.pipeline import Node, Pipeline

from .nodes import explain_images, write_page


def create_pipeline(task: str, *, own_names: bool) -> Pipeline:
    """Explain new sheets by the model of ``task``; with ``own_names`` its results are named without the task."""
    template = Pipeline(
        [
            Node(
                explain_images,
                inputs=[
                    "model",
                    "sheets",
                    "split",
                    "calibration",
                    "metrics",
                    "params:explain",
                    "params:interpretation",
                    "params:training",
                    "params:data_processing",
                    "params:raw_size",
                    "params:data_source",
                    "explanation_folder",
                ],
                outputs=["explained_sheets", "explanation_cards"],
                name="explain_images",
            ),
            Node(
                write_page,
                inputs=["explained_sheets", "explanation_cards", "model", "metrics", "params:data_source"],
                outputs="explanations",
                name="write_page",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="explain",
        inputs={"sheets"},
        outputs={"explained_sheets", "explanations"} if own_names else None,
        parameters={"params:data_processing", "params:raw_size", "params:data_source"},
    )
