"""Nodes of a task's model: train, draw the training."""

from pathlib import Path

from steel_xai.parameters import ComputeParameters, ProcessingParameters, SplitParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def train_model(
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    splits: SplitParameters,
    training: TrainingParameters,
    data_processing: ProcessingParameters,
    compute: ComputeParameters,
    class_names: list[str],
    data_source: str,
    seed: int,
    training_folder: Path,
) -> tuple[Classifier, DataFrame]:
    """Train on the training sheets and keep the best validation epoch."""
    from steel_xai.sheets.splits import check_rows, output_names
    from steel_xai.training import train_classifier

    check_rows(split, sheet_index, len(sheets))
    return train_classifier(
        sheets,
        split,
        outputs=output_names(splits.labels, class_names),
        parameters=training,
        seed=seed,
        folder=training_folder,
        data_source=data_source,
        activation="sigmoid" if splits.labels == "every_class" else "softmax",
        masks=masks,
        white_stains=data_processing.white_stains,
        devices=compute.devices,
    )


def plot_training_curves(history: DataFrame, model: Classifier) -> Figure:
    """Draw loss and accuracy over the epochs."""
    from steel_xai import plots

    about = model.description
    if about.activation == "softmax":
        return plots.training_curves(history, data_source=about.data_source)
    return plots.training_curves(
        history,
        data_source=about.data_source,
        loss="Mean binary cross-entropy of the classes",
        accuracy="Share of right decisions (1 - Hamming loss)",
    )
