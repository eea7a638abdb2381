"""{task}.model, {task}.predictions -> {task}.attribution_maps -> {task}.attribution_scores and figures.

::

    model, predictions, sheets, masks, split --> explain --> attribution_maps, attribution_index
                                                                  |
    sheets, masks, sheet_index, model ------------------> score_explanations --> attribution_scores --> plot_ranking
                                                                  |
    sheets, masks, model --------------------------------> plot_gallery
"""

from kedro.pipeline import Node, Pipeline

from .nodes import explain, plot_gallery, plot_ranking, score_explanations


def create_pipeline(task: str) -> Pipeline:
    """Explain the model of ``task`` and score the explanations."""
    template = Pipeline(
        [
            Node(
                explain,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "masks",
                    "split",
                    "params:interpretation",
                    "params:training",
                    "interpretation_folder",
                ],
                outputs=["attribution_maps", "attribution_index"],
                name="explain",
            ),
            Node(
                score_explanations,
                inputs=[
                    "attribution_maps",
                    "attribution_index",
                    "sheets",
                    "masks",
                    "sheet_index",
                    "model",
                    "params:class_names",
                    "params:interpretation",
                ],
                outputs=["attribution_scores", "attribution_scores_by_class", "attribution_scores_by_sheet"],
                name="score_explanations",
            ),
            Node(
                plot_ranking,
                inputs=["attribution_scores", "model"],
                outputs="attribution_ranking",
                name="plot_ranking",
            ),
            Node(
                plot_gallery,
                inputs=[
                    "attribution_maps",
                    "attribution_index",
                    "sheets",
                    "masks",
                    "model",
                    "params:interpretation",
                ],
                outputs="attribution_gallery",
                name="plot_gallery",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        inputs={"sheets", "masks", "sheet_index"},
        parameters={"params:class_names"},
    )
