"""The node of the export."""

from typing import Any

from steel_xai.raw_files import RawFile
from steel_xai.types import Array, Classifier, DataFrame


def export_model(
    model: Classifier,
    calibration: dict[str, Any],
    metrics: dict[str, Any],
    sheets: Array,
    split: DataFrame,
    raw_sheets: dict[str, RawFile],
    data_source: str,
    raw_size: tuple[int, int],
) -> tuple[bytes, dict[str, Any]]:
    """Write the model as ONNX, unless ONNX Runtime and PyTorch differ."""
    from steel_xai.classifier import check_lineage
    from steel_xai.export import export_classifier
    from steel_xai.export_check import check_export

    check_lineage(model.description, sheets, split, data_source)
    content, module = export_classifier(
        model, raw_size=raw_size, calibration=calibration, metrics=metrics, data_source=data_source
    )
    record = check_export(
        content,
        module,
        sheets,
        split,
        raw_sheets,
        raw_size=raw_size,
        data_source=model.description.name_data(data_source),
        seed=model.description.seed,
    )
    return content, record
