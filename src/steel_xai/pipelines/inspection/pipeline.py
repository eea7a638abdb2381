"""{task}.model, sheets, {task}.split -> layer probe, embedding, neurons, inner-layer SHAP; both models -> transfer.

::

    model, sheets, split --> probe_layers --> layer_probe --> plot_probe
    model, sheets, split --> embed_layers --> layer_embedding_points, layer_separation --> plot_embedding
    model, sheets, split --> inspect_neurons --> neurons, neuron_gallery
    model, predictions, sheets, masks, split --> explain_layers --> layer_shap
    both tasks' model and split --> hand_over_model --> transfer_weights --> weight_transfer, layer_similarity
"""

from kedro.pipeline import Node, Pipeline

from .nodes import (
    embed_layers,
    explain_layers,
    hand_over_model,
    inspect_neurons,
    plot_embedding,
    plot_probe,
    plot_transfer,
    probe_layers,
    transfer_weights,
)


def create_pipeline(tasks: tuple[str, ...]) -> Pipeline:
    """Inspect the model of each task, and compare the two."""
    return sum((_of_task(task) + _handover(task) for task in tasks), _between_tasks())


def _of_task(task: str) -> Pipeline:
    seen = ["model", "sheets", "split", "params:inspection", "params:training"]
    template = Pipeline(
        [
            Node(probe_layers, inputs=seen, outputs="layer_probe", name="probe_layers"),
            Node(
                plot_probe,
                inputs=["layer_probe", "model", "params:data_source"],
                outputs="layer_probe_curve",
                name="plot_probe",
            ),
            Node(
                embed_layers, inputs=seen, outputs=["layer_embedding_points", "layer_separation"], name="embed_layers"
            ),
            Node(
                plot_embedding,
                inputs=["layer_embedding_points", "layer_separation", "model", "params:data_source"],
                outputs="layer_embedding",
                name="plot_embedding",
            ),
            Node(
                inspect_neurons,
                inputs=["model", "sheets", "split", "params:data_source", "params:inspection", "params:training"],
                outputs=["neurons", "neuron_summary", "neuron_gallery", "neuron_scores"],
                name="inspect_neurons",
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
                    "params:inspection",
                    "params:training",
                ],
                outputs=["layer_shap_relevance", "layer_shap"],
                name="explain_layers",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="inspection",
        inputs={"sheets", "masks"},
        parameters={"params:data_source", "params:inspection"},
    )


def _handover(task: str) -> Pipeline:
    """Kedro warns of names with a dot outside of a namespace, so that a task's own node hands over its model."""
    template = Pipeline(
        [
            Node(
                hand_over_model,
                inputs=["model", "sheets", "split", "params:data_source"],
                outputs="model_and_split",
                name="hand_over_model",
            )
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="inspection",
        inputs={"sheets"},
        outputs={"model_and_split": f"{task}_model_and_split"},
        parameters={"params:data_source"},
    )


def _between_tasks() -> Pipeline:
    return Pipeline(
        [
            Node(
                transfer_weights,
                inputs=[
                    "binary_model_and_split",
                    "multi_model_and_split",
                    "sheets",
                    "params:inspection",
                    "params:training",
                ],
                outputs=["weight_transfer", "layer_similarity"],
                name="transfer_weights",
            ),
            Node(
                plot_transfer,
                inputs=["weight_transfer", "layer_similarity", "params:data_source"],
                outputs="weight_transfer_curve",
                name="plot_transfer",
            ),
        ],
        tags="inspection",
    )
