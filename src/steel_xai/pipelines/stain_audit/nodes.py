"""Nodes of the white-stain audit."""

from typing import Any

from steel_xai.parameters import ProcessingParameters, StainAuditParameters, TrainingParameters
from steel_xai.types import Array, Classifier, DataFrame, Figure


def intervene(
    model: Classifier,
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    data_source: str,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
    training: TrainingParameters,
) -> tuple[dict[str, Any], DataFrame, Figure]:
    """Paste stains on sheets and paint others over; draw a few of them."""
    from steel_xai import plots
    from steel_xai.classifier import check_lineage
    from steel_xai.stain_audit.study import choose_examples, intervene_on_stains

    check_lineage(model.description, sheets, split, data_source)
    found = intervene_on_stains(
        model, sheets, masks, sheet_index, split, stain_audit, data_processing.white_stains, device=training.device
    )
    examples = choose_examples(model, found, masks, sheet_index, split, device=training.device)
    source = model.description.name_data(data_source)
    figure = (
        plots.before_and_after(*examples, model.description.outputs, method="gradcam", data_source=source)
        if examples
        else plots.empty_figure("No sheet could be changed: there are no stains, or no room for them.", source)
    )
    return found.record, found.shifts, figure


def measure_dose(
    model: Classifier,
    sheets: Array,
    masks: Array,
    sheet_index: DataFrame,
    split: DataFrame,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
    training: TrainingParameters,
) -> DataFrame:
    """Paste more and more stain."""
    from steel_xai.stain_audit import study

    return study.measure_dose(
        model, sheets, masks, sheet_index, split, stain_audit, data_processing.white_stains, device=training.device
    )


def audit_stains(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    sheet_index: DataFrame,
    stain_interventions: dict[str, Any],
    data_source: str,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
    training: TrainingParameters,
) -> tuple[dict[str, Any], DataFrame]:
    """Compare stained with unstained sheets, and judge by all tests."""
    import logging

    from steel_xai.stain_audit import study

    record, groups = study.audit_stains(
        model,
        predictions,
        sheets,
        sheet_index,
        stain_interventions,
        stain_audit,
        data_processing.white_stains,
        device=training.device,
        data_source=data_source,
    )
    logging.getLogger(__name__).info("White stains: %s. %s", record["verdict"], record["sentence"])
    return record, groups


def audit_attributes(
    model: Classifier,
    predictions: DataFrame,
    sheets: Array,
    sheet_index: DataFrame,
    attribute_list: DataFrame | None,
    class_names: list[str],
    data_source: str,
    stain_audit: StainAuditParameters,
    data_processing: ProcessingParameters,
) -> tuple[dict[str, Any], Figure]:
    """Audit black edges, and the attribute of the user's own list; draw them."""
    from steel_xai import plots
    from steel_xai.stain_audit import study

    found = study.audit_attributes(
        model,
        predictions,
        sheets,
        sheet_index,
        attribute_list,
        stain_audit,
        data_processing.white_stains,
        class_names=class_names,
        data_source=data_source,
    )
    source = model.description.name_data(data_source)
    comparisons = [(table, record) for record, table in found.values()]
    figure = (
        plots.distributions_by_attribute(comparisons, data_source=source)
        if comparisons
        else plots.empty_figure("No attribute besides white stains was audited.", source)
    )
    return {name: record for name, (record, _) in found.items()}, figure


def plot_groups(stain_groups: DataFrame, stain_audit: dict[str, Any], model: Classifier, data_source: str) -> Figure:
    """Draw P(no defect) of stained and of unstained sheets."""
    from steel_xai import plots

    return plots.attribute_distributions(
        stain_groups, stain_audit, data_source=model.description.name_data(data_source)
    )


def plot_dose(stain_dose_response: DataFrame, model: Classifier, data_source: str) -> Figure:
    """Draw the shift of P(no defect) against area and number of stains."""
    from steel_xai import plots

    return plots.dose_response(stain_dose_response, data_source=model.description.name_data(data_source))
