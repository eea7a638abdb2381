"""Nodes of the interpretation of a task's model."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import InterpretationParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def explain(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    masks: Array,
    split: DataFrame,
    data_source: str,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
    interpretation_folder: Path,
) -> tuple[Path, DataFrame]:
    """Explain defective validation and test sheets by every method."""
    from steel_xai.classifier import check_lineage
    from steel_xai.interpretation.explain import choose_sheets, explain_sheets
    from steel_xai.interpretation.maps import shown_rows

    check_lineage(model.description, sheets, split, data_source)
    chosen = choose_sheets(predictions, shown_rows(masks, len(sheets)), interpretation, model.description.seed)
    return explain_sheets(
        model, sheets, split, chosen, interpretation, device=training.device, folder=interpretation_folder
    )


def choose_thresholds(
    attribution_maps: Array,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    model: Classifier,
    interpretation: InterpretationParameters,
) -> DataFrame:
    """Choose on validation sheets where each method's maps, and each control's, become masks."""
    from steel_xai.evaluation.attribution_table import choose_thresholds

    return choose_thresholds(
        attribution_maps,
        attribution_index,
        sheets,
        masks,
        task=_study_task(model),
        parameters=interpretation,
        seed=model.description.seed,
    )


def check_stability(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    attribution_maps: Array,
    attribution_index: DataFrame,
    attribution_thresholds: DataFrame,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
) -> DataFrame:
    """Explain a few sheets again, with other seeds and under noise."""
    from steel_xai.interpretation.checks import check_stability

    return check_stability(
        model,
        sheets,
        split,
        attribution_maps,
        attribution_index,
        attribution_thresholds,
        interpretation,
        device=training.device,
    )


def check_faithfulness(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    attribution_maps: Array,
    attribution_index: DataFrame,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame]:
    """Delete and insert what the maps point at, and randomise the network under them."""
    from steel_xai.interpretation.checks import check_faithfulness

    return check_faithfulness(
        model, sheets, split, attribution_maps, attribution_index, interpretation, device=training.device
    )


def score_explanations(
    attribution_maps: Array,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    attribution_thresholds: DataFrame,
    attribution_stability: DataFrame,
    model: Classifier,
    class_names: list[str],
    interpretation: InterpretationParameters,
) -> tuple[DataFrame, DataFrame, DataFrame, DataFrame]:
    """Score the maps as segmentations of the defects, beside controls that need no model."""
    from steel_xai.evaluation.attribution_table import tabulate

    return tabulate(
        attribution_maps,
        attribution_index,
        sheets,
        masks,
        sheet_index,
        attribution_thresholds,
        attribution_stability,
        class_names=class_names,
        parameters=interpretation,
        seed=model.description.seed,
    )


def analyse_errors(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    masks: Array,
    data_source: str,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
) -> tuple[DataFrame, Figure]:
    """Explain the most confident errors by the predicted and the true class."""
    from steel_xai import plots
    from steel_xai.interpretation.errors import METHOD, explain_errors
    from steel_xai.interpretation.maps import grey_sheets, true_masks

    found = explain_errors(
        model,
        predictions,
        sheets,
        per_group=interpretation.errors.per_group,
        layer=interpretation.options.cam_layer,
        device=training.device,
    )
    if found.note:
        return found.errors, plots.empty_figure(found.note, _data(model, data_source))
    rows = found.errors["row"].to_numpy()
    figure = plots.error_panels(
        found.errors,
        grey_sheets(sheets, rows),
        true_masks(masks, rows, sheets.shape[2:]),
        found.maps,
        found.classes,
        model.description.outputs,
        method=METHOD,
        data_source=_data(model, data_source),
    )
    return found.errors, figure


def examine_edge_hypothesis(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    raw_size: tuple[int, int],
    interpretation: InterpretationParameters,
    training: TrainingParameters,
) -> dict[str, Any]:
    """Measure whether the false positives of a class are sheets where the model looks at the black edge."""
    from steel_xai.interpretation.errors import examine_edge_hypothesis

    return examine_edge_hypothesis(
        model,
        predictions,
        sheets,
        raw_width=raw_size[1],
        reach=interpretation.errors.edge_reach,
        layer=interpretation.options.cam_layer,
        n_samples=interpretation.bootstrap_samples,
        device=training.device,
    )


def plot_ranking(attribution_scores: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw the methods by their Dice, beside the controls and the study's figures."""
    from steel_xai import plots
    from steel_xai.evaluation.published import STUDY_SCORES

    study = {method: scores["dice"] for method, scores in STUDY_SCORES[_study_task(model)].items()}
    return plots.attribution_ranking(attribution_scores, study=study, data_source=_data(model, data_source))


def plot_gallery(
    attribution_maps: Array,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    model: Classifier,
    data_source: str,
    interpretation: InterpretationParameters,
) -> Figure:
    """Draw a few test sheets with the maps of every method."""
    from steel_xai import plots
    from steel_xai.attribution.convention import evidence
    from steel_xai.interpretation.maps import gallery_sheets, grey_sheets, maps_of, true_masks

    shown = gallery_sheets(attribution_index, interpretation.methods)
    rows = shown["row"].to_numpy()
    maps = maps_of(attribution_maps, attribution_index, interpretation.methods, rows)
    return plots.attribution_gallery(
        shown,
        grey_sheets(sheets, rows),
        true_masks(masks, rows, sheets.shape[2:]),
        {method: evidence(signed, method) for method, signed in maps.items()},
        model.description.outputs,
        data_source=_data(model, data_source),
    )


def plot_class_evidence(
    model: Classifier,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    data_source: str,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
) -> Figure:
    """Draw what speaks for and against every class on the sheets of the gallery."""
    from steel_xai import plots
    from steel_xai.attribution.layers import NoStages
    from steel_xai.interpretation.errors import METHOD, explain_every_class
    from steel_xai.interpretation.maps import gallery_sheets, grey_sheets, true_masks

    shown = gallery_sheets(attribution_index, interpretation.methods)
    rows = shown["row"].to_numpy()
    try:
        maps = explain_every_class(model, sheets, rows, layer=interpretation.options.cam_layer, device=training.device)
    except NoStages as error:
        return plots.empty_figure(error.reason, _data(model, data_source))
    return plots.class_evidence(
        shown,
        grey_sheets(sheets, rows),
        true_masks(masks, rows, sheets.shape[2:]),
        maps,
        model.description.outputs,
        method=METHOD,
        data_source=_data(model, data_source),
    )


def plot_examples(
    attribution_maps: Array,
    attribution_index: DataFrame,
    attribution_thresholds: DataFrame,
    attribution_scores_by_sheet: DataFrame,
    sheets: Array,
    masks: Array,
    model: Classifier,
    data_source: str,
    interpretation: InterpretationParameters,
) -> Figure:
    """Draw the best and the median test sheet of the method that was best on validation sheets."""
    from steel_xai import plots
    from steel_xai.evaluation.attribution_table import winning_method
    from steel_xai.interpretation.maps import found_masks

    method = winning_method(attribution_thresholds, attribution_index)
    k = attribution_thresholds.set_index("method").loc[method, "k"]
    shown, grey, truth, evidence, predicted = found_masks(
        attribution_maps, attribution_index, sheets, masks, method, k=k, sigma=interpretation.blur
    )
    scores = attribution_scores_by_sheet[attribution_scores_by_sheet["method"] == method].set_index("row")
    return plots.attribution_examples(
        shown,
        grey,
        truth,
        evidence,
        predicted,
        scores.loc[shown["row"], "dice"].to_numpy(),
        model.description.outputs,
        method=method,
        data_source=_data(model, data_source),
    )


def plot_faithfulness(
    attribution_curves: DataFrame, attribution_randomisation: DataFrame, model: Classifier, data_source: str
) -> Figure:
    """Draw the insertion and deletion curves, and what is left of the maps as layers become random."""
    from steel_xai import plots

    return plots.attribution_faithfulness(
        attribution_curves, attribution_randomisation, data_source=_data(model, data_source)
    )


def _study_task(model: Classifier) -> str:
    return "binary" if len(model.description.outputs) == 2 else "multi"


def _data(model: Classifier, data_source: str) -> str:
    return model.description.name_data(data_source)
