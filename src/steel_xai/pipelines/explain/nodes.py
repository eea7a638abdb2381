"""Nodes of the explanations of new sheets."""

from pathlib import Path
from typing import Any

from steel_xai.parameters import InterpretationParameters, ProcessingParameters, TrainingParameters
from steel_xai.parameters.explain import ExplainParameters
from steel_xai.types import Array, Classifier, DataFrame


def explain_images(
    model: Classifier,
    sheets: Array,
    split: DataFrame,
    calibration: dict[str, Any],
    metrics: dict[str, Any],
    explain: ExplainParameters,
    interpretation: InterpretationParameters,
    training: TrainingParameters,
    data_processing: ProcessingParameters,
    raw_size: tuple[int, int],
    data_source: str,
    explanation_folder: Path,
) -> tuple[DataFrame, dict[str, Any]]:
    """Explain the sheets that the user points at."""
    from steel_xai.classifier import check_lineage
    from steel_xai.explain.analysis import make_explainer
    from steel_xai.explain.files import find_images
    from steel_xai.explain.sheets import explain_files

    files = find_images(explain.images)
    check_lineage(model.description, sheets, split, data_source)
    explainer = make_explainer(
        model,
        sheets,
        split,
        calibration=calibration,
        abstention=metrics["abstention"],
        parameters=explain,
        interpretation=interpretation,
        white_stains=data_processing.white_stains,
        raw_width=raw_size[1],
        device=training.device,
        folder=explanation_folder,
    )
    table, cards = explain_files(files, explainer, sheets, raw_size=raw_size, folder=explanation_folder)
    about = {
        "temperature": explainer.temperature,
        "threshold": explainer.threshold,
        "threshold_is_chosen": explain.threshold == "auto",
        "yardstick": explainer.reference.yardstick,
        "method": explain.method,
    }
    return table, {"cards": cards, "about": about}


def write_page(
    explained_sheets: DataFrame,
    explanation_cards: dict[str, Any],
    model: Classifier,
    metrics: dict[str, Any],
    data_source: str,
) -> str:
    """Write the cards as one page."""
    from steel_xai.explain.page import render_page

    return render_page(
        explained_sheets,
        explanation_cards["cards"],
        description=model.description,
        metrics=metrics,
        data_source=data_source,
        **explanation_cards["about"],
    )
