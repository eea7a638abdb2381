"""Node of the known-answer check of the white-stain audit."""

from pathlib import Path

from steel_xai.parameters import (
    AuditCheckParameters,
    EvaluationParameters,
    ProcessingParameters,
    SampleParameters,
    SplitParameters,
    StainAuditParameters,
    TrainingParameters,
)
from steel_xai.types import DataFrame


def check_known_answers(
    check: AuditCheckParameters,
    sample: SampleParameters,
    data_processing: ProcessingParameters,
    splits: SplitParameters,
    training: TrainingParameters,
    evaluation: EvaluationParameters,
    stain_audit: StainAuditParameters,
    class_names: list[str],
    raw_size: tuple[int, int],
    tensor_size: tuple[int, int],
    channels: int,
    audit_check_folder: Path,
) -> DataFrame:
    """Audit classifiers of samples with and without the shortcut; say how often the verdict is right."""
    import logging

    from steel_xai.stain_audit import known_answer

    settings = known_answer.Settings(
        check,
        sample,
        data_processing,
        splits,
        training,
        stain_audit,
        class_names,
        (raw_size[0], raw_size[1]),
        (tensor_size[0], tensor_size[1]),
        channels,
        evaluation.batch_size,
    )
    table = known_answer.check_known_answers(settings, folder=audit_check_folder)
    columns = ["condition", "seed", "auc", "n_attributed", "effect_size", "p_value", "paste_shift", "verdict"]
    logger = logging.getLogger(__name__)
    logger.info("Known-answer check of the audit:\n%s", table[[*columns, "seconds_training"]].to_string(index=False))
    logger.info("The audit %s.", known_answer.rates(table))
    return table
