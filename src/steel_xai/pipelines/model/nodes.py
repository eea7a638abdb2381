"""Nodes of a task's model: train, predict, compare with the baseline, draw."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import EvaluationParameters, SplitParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def train_model(
    sheets: Array,
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
    )


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


def predict_baseline(
    sheets: Array,
    split: DataFrame,
    splits: SplitParameters,
    evaluation: EvaluationParameters,
    class_names: list[str],
    seed: int,
) -> Array:
    """Predict the test sheets by logistic regression on pixels, the floor that a network has to leave behind."""
    from steel_xai.baseline import baseline_probabilities
    from steel_xai.sheets.splits import output_names

    n_classes = len(output_names(splits.labels, class_names))
    return baseline_probabilities(sheets, split, evaluation.baseline, seed, n_classes)


def measure_model(
    model: Classifier,
    predictions: DataFrame,
    baseline_probabilities: Array,
    sheets: Array,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> dict[str, Any]:
    """Score the test sheets, with intervals, beside the baseline."""
    from steel_xai.evaluation import evaluate

    return evaluate(model, predictions, baseline_probabilities, sheets, parameters=evaluation, device=training.device)


def plot_training_curves(history: DataFrame, model: Classifier) -> Figure:
    """Draw loss and accuracy over the epochs."""
    from steel_xai import plots

    return plots.training_curves(history, data_source=model.description.data_source)


def plot_roc_curve(predictions: DataFrame, model: Classifier) -> Figure:
    """Draw the ROC curve of the test sheets."""
    from steel_xai import plots
    from steel_xai.evaluation import labels_and_probabilities

    labels, probabilities = labels_and_probabilities(predictions, "test")
    return plots.roc_curve(labels, probabilities, model.description.outputs, data_source=model.description.data_source)


def plot_confusion_matrix(predictions: DataFrame, model: Classifier) -> Figure:
    """Draw how often each class of test sheets is taken for which."""
    from steel_xai import plots

    test = predictions[predictions["split"] == "test"]
    return plots.confusion_matrix(
        test["label"], test["predicted"], model.description.outputs, data_source=model.description.data_source
    )
