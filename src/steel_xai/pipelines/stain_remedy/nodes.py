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
    stain_remedy: StainRemedyParameters,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
) -> DataFrame:
    """Score and audit the model before and after."""
    from steel_xai.inference import predict
    from steel_xai.metrics import labels_and_probabilities, score
    from steel_xai.stain_audit.remedy import AFTER, BEFORE
    from steel_xai.stain_audit.remedy import compare_remedy as compare
    from steel_xai.stain_audit.study import audit_stains, intervene_on_stains

    stains, device = data_processing.white_stains, training.device
    scores, records, interventions = {}, {}, {}
    for state, classifier in ((BEFORE, model), (AFTER, remedied_model)):
        predictions = predict(classifier, sheets, split, batch_size=evaluation.batch_size, device=device)
        labels, probabilities = labels_and_probabilities(predictions, "test")
        scores[state] = {**score(labels, probabilities), "n_test": len(labels)}
        interventions[state] = intervene_on_stains(
            classifier, sheets, masks, sheet_index, split, stain_audit, stains, device=device
        )
        records[state], _ = audit_stains(
            classifier,
            predictions,
            sheets,
            sheet_index,
            interventions[state].record,
            stain_audit,
            stains,
            device=device,
            data_source=data_source,
        )
    return compare(scores, records, interventions, stain_augmentation=stain_remedy.stain_augmentation)
