"""Nodes of the robustness to noise."""

from pathlib import Path

from steel_xai.parameters import EvaluationParameters, NoiseRobustnessParameters, ProcessingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def train_twin(
    model: Classifier,
    sheets: Array,
    masks: Array,
    split: DataFrame,
    data_processing: ProcessingParameters,
    noise_twin_folder: Path,
) -> Classifier:
    """Train the same network again, without the noise augmentation, or with it where the model has none."""
    from steel_xai.classifier import check_lineage
    from steel_xai.evaluation.noise_robustness import train_noise_twin

    check_lineage(model.description, sheets, split, model.description.data_source)
    return train_noise_twin(
        model, sheets, masks, split, white_stains=data_processing.white_stains, folder=noise_twin_folder
    )


def measure_noise(
    model: Classifier,
    noise_twin: Classifier,
    sheets: Array,
    split: DataFrame,
    noise_robustness: NoiseRobustnessParameters,
    evaluation: EvaluationParameters,
) -> DataFrame:
    """Score model and twin on test sheets with noise of each level."""
    from steel_xai.evaluation.noise_robustness import compare_under_noise

    return compare_under_noise([model, noise_twin], sheets, split, parameters=noise_robustness, evaluation=evaluation)


def plot_noise_robustness(noise_robustness: DataFrame, model: Classifier) -> Figure:
    """Draw the scores against the noise."""
    from steel_xai import plots

    return plots.noise_robustness(noise_robustness, data_source=model.description.data_source)
