"""Nodes of the multi-label task that other tasks lack or do otherwise."""

from typing import Any

from steel_xai.parameters import EvaluationParameters, LayerShapParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def hand_over_split(split: DataFrame) -> DataFrame:
    """Tell the multi-label task which sheets another task holds out."""
    return split.loc[split["copy"] == 0, ["row", "image_id", "split"]].reset_index(drop=True)


def hold_out_together(examples: DataFrame, binary_sheets: DataFrame, multi_sheets: DataFrame) -> DataFrame:
    """Hold out the sheets that the other tasks hold out."""
    from steel_xai.sheets import splits

    return splits.hold_out_together(examples, binary_sheets, multi_sheets)


def predict_sheets(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    data_source: str,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> tuple[DataFrame, DataFrame]:
    """Predict the classes of the validation and test sheets, by thresholds chosen on the former."""
    from steel_xai.classifier import check_lineage
    from steel_xai.evaluation.label_sets import predict_and_choose
    from steel_xai.inference import predict_every_class

    check_lineage(model.description, sheets, split, data_source)
    probabilities = predict_every_class(model, sheets, split, batch_size=evaluation.batch_size, device=training.device)
    return predict_and_choose(split, probabilities, model.description.outputs)


def predict_baseline(
    sheets: Array, split: DataFrame, evaluation: EvaluationParameters, class_names: list[str], seed: int
) -> tuple[DataFrame, DataFrame]:
    """Predict the same sheets by logistic regression on pixels, the floor that a network has to leave behind."""
    from steel_xai.evaluation.baseline import baseline_of_every_class
    from steel_xai.evaluation.label_sets import predict_and_choose

    probabilities = baseline_of_every_class(sheets, split, evaluation.baseline, seed, len(class_names))
    return predict_and_choose(split, probabilities, class_names)


def measure_model(
    model: Classifier,
    predictions: DataFrame,
    thresholds: DataFrame,
    baseline_predictions: DataFrame,
    baseline_thresholds: DataFrame,
    sheets: Array,
    split: DataFrame,
    data_source: str,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> dict[str, Any]:
    """Score the test sheets, with intervals, beside the baseline."""
    from steel_xai.classifier import check_lineage
    from steel_xai.evaluation.multilabel import evaluate_multilabel

    check_lineage(model.description, sheets, split, data_source)
    return evaluate_multilabel(
        model,
        predictions,
        thresholds,
        baseline_predictions,
        baseline_thresholds,
        sheets,
        split,
        data_source=data_source,
        parameters=evaluation,
        device=training.device,
    )


def plot_class_scores(metrics: dict[str, Any]) -> Figure:
    """Draw precision, recall and F1 of each class beside the baseline's."""
    from steel_xai import plots
    from steel_xai.description import name_data

    return plots.class_scores(metrics, data_source=name_data(metrics["data_source"], metrics["model_trained_on"]))


def plot_label_sets(predictions: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw which sets of classes are taken for which."""
    from steel_xai import plots
    from steel_xai.evaluation.label_sets import truth_and_predictions

    truth, predicted, _ = truth_and_predictions(predictions, "test")
    about = model.description
    return plots.label_sets(truth, predicted, about.outputs, data_source=about.name_data(data_source))


def plot_thresholds(predictions: DataFrame, thresholds: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw precision, recall and F1 of each class against its threshold."""
    from steel_xai import plots

    return plots.threshold_curves(predictions, thresholds, data_source=model.description.name_data(data_source))


def explain_layers(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    masks: Array,
    split: DataFrame,
    data_source: str,
    inner_layers: LayerShapParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, Figure]:
    """Explain the classes ranked highest by the outputs of inner layers."""
    from steel_xai import plots
    from steel_xai.inspection.label_sets import choose_sheets_of_sets, early_layers
    from steel_xai.inspection.layer_shap import explain_layers
    from steel_xai.interpretation.maps import grey_sheets, shown_rows, true_masks

    about = model.description
    chosen = choose_sheets_of_sets(predictions, shown_rows(masks, len(sheets)), inner_layers.sheets, about.seed)
    maps, table = explain_layers(
        model,
        sheets,
        split,
        chosen,
        layers=inner_layers.layers or early_layers(model.network),
        n_classes=inner_layers.classes,
        n_background=inner_layers.background,
        n_samples=inner_layers.samples,
        device=training.device,
        seed=about.seed,
    )
    rows = chosen["row"].to_numpy()
    figure = plots.layer_shap(
        maps,
        table,
        grey_sheets(sheets, rows),
        true_masks(masks, rows, sheets.shape[2:]),
        about.outputs,
        data_source=about.name_data(data_source),
        several_classes=True,
    )
    return table, figure
