"""The pipelines that ``kedro run --pipeline=<name>`` knows."""

from kedro.pipeline import Pipeline

from steel_xai.config import TASKS
from steel_xai.pipelines import (
    cascade,
    data_processing,
    evaluation,
    explain,
    export,
    inspection,
    interpretation,
    model,
    model_comparison,
    multilabel,
    noise_robustness,
    report,
    sample_data,
    segmentation,
    sheet_statistics,
    splits,
    stain_audit,
    stain_audit_check,
    stain_remedy,
)


def register_pipelines() -> dict[str, Pipeline]:
    """Return every pipeline by name; a model's pipeline holds its data stages, so that it runs alone.

    ``sample_data`` stands apart: a hook makes the sample the first time that a pipeline needs it.
    """
    data = data_processing.create_pipeline()
    split = {task: splits.create_pipeline(task) for task in TASKS}
    evaluations = {task: evaluation.create_pipeline(task) for task in TASKS}
    models = {f"{task}_model": data + split[task] + model.create_pipeline(task) + evaluations[task] for task in TASKS}
    opened = {
        "inspection": inspection.create_pipeline(TASKS),
        "interpretation": sum((interpretation.create_pipeline(task) for task in TASKS), Pipeline([])),
        "stain_audit": sum((stain_audit.create_pipeline(task) for task in TASKS), Pipeline([])),
    }
    study = sum((*models.values(), *opened.values()), Pipeline([]))
    return {
        "sample_data": sample_data.create_pipeline(),
        "data_processing": data,
        "splits": sum(split.values(), data),
        "sheet_statistics": sheet_statistics.create_pipeline(),
        **models,
        "multilabel": sum(split.values(), data) + multilabel.create_pipeline(),
        "segmentation": sum(split.values(), data)
        + multilabel.create_split_pipeline()
        + segmentation.create_pipeline(TASKS),
        "cascade": sum(split.values(), data)
        + model.create_pipeline("binary")
        + multilabel.create_pipeline()
        + cascade.create_pipeline(),
        "cascade_evaluation": cascade.create_evaluation_pipeline(),
        "evaluation": sum(evaluations.values(), Pipeline([])),
        **opened,
        "model_comparison": sum((model_comparison.create_pipeline(task) for task in TASKS), data),
        "noise_robustness": sum((noise_robustness.create_pipeline(task) for task in TASKS), Pipeline([])),
        "stain_audit_check": stain_audit_check.create_pipeline(),
        "stain_remedy": sum((stain_remedy.create_pipeline(task) for task in TASKS), Pipeline([])),
        "explain": explain.create_pipeline("multi", own_names=True),
        "explain_binary": explain.create_pipeline("binary", own_names=False),
        "export": sum((export.create_pipeline(task) for task in TASKS), Pipeline([])),
        "report": report.create_pipeline(),
        "__default__": study + report.create_pipeline(after=study.outputs()),
    }
