"""Nodes of a task's model: train, draw the training, predict."""

from pathlib import Path

from steel_xai.parameters import EvaluationParameters, SplitParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def train_model(
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    splits: SplitParameters,
    training: TrainingParameters,
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
        masks=masks,
    )


def plot_training_curves(history: DataFrame, model: Classifier) -> Figure:
    """Draw loss and accuracy over the epochs."""
    from steel_xai import plots

    return plots.training_curves(history, data_source=model.description.data_source)


def predict_sheets(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> DataFrame:
    """Predict the validation and test sheets."""
    from steel_xai.classifier import check_lineage
    from steel_xai.inference import predict

    check_lineage(model.description, sheets, split)
    return predict(model, sheets, split, batch_size=evaluation.batch_size, device=training.device)
