"""Nodes of the remedy for the stain shortcut."""

from pathlib import Path

from steel_xai.parameters import (
    EvaluationParameters,
    ProcessingParameters,
    StainAuditParameters,
    StainRemedyParameters,
    TrainingParameters,
)
from steel_xai.types import Array, Classifier, DataFrame


def train_remedied(
    model: Classifier,
    sheets: Array,
    masks: Array,
    split: DataFrame,
    stain_remedy: StainRemedyParameters,
    data_processing: ProcessingParameters,
    remedy_folder: Path,
) -> Classifier:
    """Train the same network again, with stains pasted on sheets of all classes."""
    from steel_xai.classifier import check_lineage
    from steel_xai.stain_audit import remedy

    check_lineage(model.description, sheets, split, model.description.data_source)
    return remedy.train_remedied(
        model,
        sheets,
        masks,
        split,
        stain_augmentation=stain_remedy.stain_augmentation,
        white_stains=data_processing.white_stains,
        folder=remedy_folder,
    )


def compare_remedy(
    model: Classifier,
    remedied_model: Classifier,
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    data_source: str,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> DataFrame:
    """Score and audit the model before and after."""
    from steel_xai.stain_audit import remedy

    return remedy.compare_remedy(
        model,
        remedied_model,
        sheets,
        masks,
        sheet_index,
        split,
        stain_audit,
        data_processing.white_stains,
        batch_size=evaluation.batch_size,
        device=training.device,
        data_source=data_source,
    )
