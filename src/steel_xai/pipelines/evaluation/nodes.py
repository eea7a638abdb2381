"""Nodes of the evaluation of a task's model."""

from typing import Any

from steel_xai.parameters import EvaluationParameters, SplitParameters, TrainingParameters
from steel_xai.raw_files import RawFile
from steel_xai.types import Array, Classifier, DataFrame, Figure


def predict_baseline(
    sheets: Array,
    split: DataFrame,
    splits: SplitParameters,
    evaluation: EvaluationParameters,
    class_names: list[str],
    seed: int,
) -> Array:
    """Predict the test sheets by logistic regression on pixels, the floor that a network has to leave behind."""
    from steel_xai.evaluation.baseline import baseline_probabilities
    from steel_xai.sheets.splits import output_names

    n_classes = len(output_names(splits.labels, class_names))
    return baseline_probabilities(sheets, split, evaluation.baseline, seed, n_classes)


def predict_sheets(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    data_source: str,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> DataFrame:
    """Predict the validation and test sheets."""
    from steel_xai.classifier import check_lineage
    from steel_xai.inference import predict

    check_lineage(model.description, sheets, split, data_source)
    return predict(model, sheets, split, batch_size=evaluation.batch_size, device=training.device)


def calibrate_model(
    predictions: DataFrame, model: Classifier, data_source: str, evaluation: EvaluationParameters
) -> dict[str, Any]:
    """Fit a temperature on the validation sheets and measure the calibration of the test sheets with and without."""
    from steel_xai.evaluation.calibration import calibrate

    return calibrate(
        predictions,
        bins=evaluation.calibration_bins,
        n_samples=evaluation.bootstrap_samples,
        seed=model.description.seed,
        data_source=model.description.name_data(data_source),
    )


def answer_above_thresholds(predictions: DataFrame) -> DataFrame:
    """Measure what is right among the sheets answered above each confidence."""
    from steel_xai.evaluation.abstention import abstention_table

    return abstention_table(predictions)


def time_sheets(
    model: Classifier,
    raw_sheets: dict[str, RawFile],
    raw_size: tuple[int, int],
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> dict[str, Any]:
    """Time the way from raw files to predictions."""
    from steel_xai.evaluation.throughput import sheets_per_second

    return sheets_per_second(
        model,
        raw_sheets,
        raw_size=raw_size,
        n_sheets=evaluation.throughput_sheets,
        batch_size=evaluation.batch_size,
        device=training.device,
    )


def measure_model(
    model: Classifier,
    predictions: DataFrame,
    baseline_probabilities: Array,
    sheets: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    throughput: dict[str, Any],
    class_names: list[str],
    data_source: str,
    raw_size: tuple[int, int],
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> dict[str, Any]:
    """Score the test sheets, with intervals, beside the baseline."""
    from steel_xai.classifier import check_lineage
    from steel_xai.evaluation import evaluate

    check_lineage(model.description, sheets, split, data_source)
    record = evaluate(
        model,
        predictions,
        baseline_probabilities,
        sheets,
        sheet_index,
        split,
        class_names=class_names,
        data_source=data_source,
        raw_size=raw_size,
        parameters=evaluation,
        device=training.device,
    )
    return record | {"throughput": throughput}


def plot_roc_curve(predictions: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw the ROC curve of the test sheets."""
    from steel_xai import plots
    from steel_xai.metrics import labels_and_probabilities

    labels, probabilities = labels_and_probabilities(predictions, "test")
    about = model.description
    return plots.roc_curve(labels, probabilities, about.outputs, data_source=about.name_data(data_source))


def plot_confusion_matrix(predictions: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw how often each class of test sheets is taken for which."""
    from steel_xai import plots

    test = predictions[predictions["split"] == "test"]
    about = model.description
    return plots.confusion_matrix(
        test["label"], test["predicted"], about.outputs, data_source=about.name_data(data_source)
    )


def plot_reliability_diagram(calibration: dict[str, Any]) -> Figure:
    """Draw how right the model is at each confidence, with and without the temperature."""
    from steel_xai import plots

    return plots.reliability_diagram(calibration, data_source=calibration["data_source"])


def plot_abstention_curve(abstention: DataFrame, metrics: dict[str, Any]) -> Figure:
    """Draw accuracy and coverage against the confidence that an answer needs."""
    from steel_xai import plots

    return plots.abstention_curve(abstention, metrics["abstention"], data_source=_data(metrics))


def plot_recall_by_defect(metrics: dict[str, Any]) -> Figure:
    """Draw the share of defective sheets that are reported, by class and by size of the defect."""
    from steel_xai import plots

    return plots.recall_by_defect(metrics["detection"], data_source=_data(metrics))


def _data(metrics: dict[str, Any]) -> str:
    from steel_xai.description import name_data

    return name_data(metrics["data_source"], metrics["model_trained_on"])
