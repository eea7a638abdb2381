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
    interpretation: InterpretationParameters,
    training: TrainingParameters,
    interpretation_folder: Path,
) -> tuple[Path, DataFrame]:
    """Explain defective validation and test sheets by every method."""
    from steel_xai.classifier import check_lineage
    from steel_xai.explanations import choose_sheets, explain_sheets, masked_rows

    check_lineage(model.description, sheets, split)
    chosen = choose_sheets(predictions, masked_rows(masks), interpretation, model.description.seed)
    return explain_sheets(
        model, sheets, split, chosen, interpretation, device=training.device, folder=interpretation_folder
    )


def score_explanations(
    attribution_maps: Array,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    model: Classifier,
    class_names: list[str],
    interpretation: InterpretationParameters,
) -> tuple[DataFrame, DataFrame, DataFrame]:
    """Score the maps as segmentations of the defects, beside controls that need no model."""
    from steel_xai.evaluation.attribution_table import tabulate

    return tabulate(
        attribution_maps,
        attribution_index,
        sheets,
        masks,
        sheet_index,
        task=_study_task(model),
        class_names=class_names,
        parameters=interpretation,
        seed=model.description.seed,
    )


def plot_ranking(attribution_scores: DataFrame, model: Classifier) -> Figure:
    """Draw the methods by their Dice, beside the controls and the study's figures."""
    from steel_xai import plots
    from steel_xai.evaluation.published import STUDY_SCORES

    study = {method: scores["dice"] for method, scores in STUDY_SCORES[_study_task(model)].items()}
    return plots.attribution_ranking(attribution_scores, study=study, data_source=model.description.data_source)


def plot_gallery(
    attribution_maps: Array,
    attribution_index: DataFrame,
    sheets: Array,
    masks: Array,
    model: Classifier,
    interpretation: InterpretationParameters,
) -> Figure:
    """Draw a few test sheets with the maps of every method."""
    from steel_xai import plots
    from steel_xai.explanations import gallery

    shown, grey, truth, evidence = gallery(attribution_maps, attribution_index, sheets, masks, interpretation.methods)
    about = model.description
    return plots.attribution_gallery(shown, grey, truth, evidence, about.outputs, data_source=about.data_source)


def _study_task(model: Any) -> str:
    return "binary" if len(model.description.outputs) == 2 else "multi"
