"""Nodes of the comparison of a task's model variants."""

from pathlib import Path

from steel_xai.parameters import (
    ComparisonParameters,
    EvaluationParameters,
    ProcessingParameters,
    SplitParameters,
    TrainingParameters,
)
from steel_xai.types import Array, DataFrame, Figure


def compare_models(
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    comparison: ComparisonParameters,
    splits: SplitParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
    data_processing: ProcessingParameters,
    class_names: list[str],
    data_source: str,
    seed: int,
    comparison_folder: Path,
) -> DataFrame:
    """Train and evaluate every chosen variant, or take up what an earlier run has finished."""
    from steel_xai.evaluation.comparison import Study, compare, select_variants

    study = Study(sheets, masks, sheet_index, class_names, evaluation, seed, data_source, data_processing.white_stains)
    variants = select_variants(comparison, training.device)
    return compare(study, variants, splits, folder=comparison_folder)


def plot_comparison(comparison: DataFrame) -> Figure:
    """Draw accuracy against time for a batch, beside the published figures."""
    from steel_xai import plots

    return plots.accuracy_against_time(comparison)
