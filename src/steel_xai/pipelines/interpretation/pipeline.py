"""{task}.model, {task}.predictions -> {task}.attribution_maps -> {task}.attribution_scores and figures.

::

    model, predictions, sheets, masks, split --> explain --> attribution_maps, attribution_index (both: "maps")
    maps --> choose_thresholds --> attribution_thresholds --> check_stability --> attribution_stability
    maps, thresholds, stability --> score_explanations --> attribution_scores, .._gains --> plot_ranking, plot_examples
    maps, model --> check_faithfulness --> attribution_faithfulness, attribution_curves --> plot_faithfulness
    maps, model --> plot_gallery, plot_class_evidence
    model, predictions, sheets --> analyse_errors, examine_edge_hypothesis
"""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    analyse_errors,
    check_faithfulness,
    check_stability,
    choose_thresholds,
    examine_edge_hypothesis,
    explain,
    plot_class_evidence,
    plot_examples,
    plot_faithfulness,
    plot_gallery,
    plot_ranking,
    score_explanations,
)


def create_pipeline(task: str) -> Pipeline:
    """Explain the model of ``task``, score the explanations and check them."""
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
                    "params:data_source",
                    "params:interpretation",
                    "params:training",
                    "interpretation_folder",
                ],
                outputs=["attribution_maps", "attribution_index"],
                name="explain",
            ),
            Node(
                choose_thresholds,
                inputs=["attribution_maps", "attribution_index", "sheets", "masks", "model", "params:interpretation"],
                outputs="attribution_thresholds",
                name="choose_thresholds",
            ),
            Node(
                check_stability,
                inputs=[
                    "model",
                    "sheets",
                    "split",
                    "attribution_maps",
                    "attribution_index",
                    "attribution_thresholds",
                    "params:interpretation",
                    "params:training",
                ],
                outputs="attribution_stability",
                name="check_stability",
            ),
            Node(
                check_faithfulness,
                inputs=[
                    "model",
                    "sheets",
                    "split",
                    "attribution_maps",
                    "attribution_index",
                    "params:interpretation",
                    "params:training",
                ],
                outputs=[
                    "attribution_faithfulness",
                    "attribution_curves",
                    "attribution_randomisation",
                    "attribution_completeness",
                ],
                name="check_faithfulness",
            ),
            Node(
                score_explanations,
                inputs=[
                    "attribution_maps",
                    "attribution_index",
                    "sheets",
                    "masks",
                    "sheet_index",
                    "attribution_thresholds",
                    "attribution_stability",
                    "model",
                    "params:class_names",
                    "params:interpretation",
                ],
                outputs=[
                    "attribution_scores",
                    "attribution_scores_by_class",
                    "attribution_scores_by_sheet",
                    "attribution_gains",
                ],
                name="score_explanations",
                tags="needs_masks",
            ),
            Node(
                analyse_errors,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "masks",
                    "params:data_source",
                    "params:interpretation",
                    "params:training",
                ],
                outputs=["confident_errors", "error_analysis"],
                name="analyse_errors",
            ),
            Node(
                examine_edge_hypothesis,
                inputs=[
                    "model",
                    "predictions",
                    "sheets",
                    "params:raw_size",
                    "params:interpretation",
                    "params:training",
                ],
                outputs="edge_hypothesis",
                name="examine_edge_hypothesis",
            ),
            Node(
                plot_ranking,
                inputs=["attribution_scores", "model", "params:data_source"],
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
                    "params:data_source",
                    "params:interpretation",
                ],
                outputs="attribution_gallery",
                name="plot_gallery",
            ),
            Node(
                plot_class_evidence,
                inputs=[
                    "model",
                    "attribution_index",
                    "sheets",
                    "masks",
                    "params:data_source",
                    "params:interpretation",
                    "params:training",
                ],
                outputs="class_evidence",
                name="plot_class_evidence",
            ),
            Node(
                plot_examples,
                inputs=[
                    "attribution_maps",
                    "attribution_index",
                    "attribution_thresholds",
                    "attribution_scores_by_sheet",
                    "sheets",
                    "masks",
                    "model",
                    "params:data_source",
                    "params:interpretation",
                ],
                outputs="attribution_examples",
                name="plot_examples",
            ),
            Node(
                plot_faithfulness,
                inputs=["attribution_curves", "attribution_randomisation", "model", "params:data_source"],
                outputs="attribution_faithfulness_curves",
                name="plot_faithfulness",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="interpretation",
        inputs={"sheets", "masks", "sheet_index"},
        parameters={"params:class_names", "params:data_source", "params:raw_size"},
    )
