"""{task}.model, sheets, {task}.split -> {task}.noise_twin -> {task}.noise_robustness and its figure."""

from kedro.pipeline import Node, Pipeline

from .nodes import measure_noise, plot_noise_robustness, train_twin


def create_pipeline(task: str) -> Pipeline:
    """Compare the model of ``task`` under noise with a twin that differs in the noise augmentation alone."""
    template = Pipeline(
        [
            Node(
                train_twin,
                inputs=["model", "sheets", "masks", "split", "params:data_processing", "noise_twin_folder"],
                outputs="noise_twin",
                name="train_twin",
            ),
            Node(
                measure_noise,
                inputs=["model", "noise_twin", "sheets", "split", "params:noise_robustness", "params:evaluation"],
                outputs="noise_robustness",
                name="measure_noise",
            ),
            Node(
                plot_noise_robustness,
                inputs=["noise_robustness", "model"],
                outputs="noise_robustness_curve",
                name="plot_noise_robustness",
            ),
        ]
    )
    return Pipeline(
        template,
        namespace=task,
        tags="noise_robustness",
        inputs={"sheets", "masks"},
        parameters={"params:noise_robustness", "params:data_processing"},
    )
