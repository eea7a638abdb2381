"""What the study cannot say, from what ran and how."""

from steel_xai.report.elements import Block, Points, Section
from steel_xai.report.formats import count, enumeration
from steel_xai.report.study import SAMPLE, TASKS, Study

FEW_SHEETS = 30
"""A class with fewer test sheets is named."""


def limits(study: Study) -> Section:
    """List the limits of the results that are shown."""
    points = [*_data(study), *_models(study), *_sizes(study), *_explanations(study), *_audit(study)]
    return Section(
        "limits",
        "Limits",
        "What to keep in mind before any number of this report is used.",
        [Block("", [Points(points)])],
    )


def _data(study: Study) -> list[str]:
    trained_on = study.trained_on()
    points = []
    if study.data_source == SAMPLE:
        points.append(
            "All sheets are synthetic. The effects that this report finds were planted; that they are found shows that "
            "the methods work. Nothing here is a result on steel."
        )
    elif SAMPLE in trained_on:
        points.append("The models were trained on synthetic sheets; on real ones they are out of their domain.")
    if study.data_source == SAMPLE and any(study.published):
        points.append(
            "The reference study's numbers are of the Kaggle Severstal data. Beside numbers of the sample they show "
            "the order of magnitude, no more."
        )
    return points


def _models(study: Study) -> list[str]:
    metrics = [record for task in study.tasks if (record := study.record(f"{task}.metrics"))]
    models = [record for task in study.tasks if (record := study.model(task))]
    points = []
    if metrics:
        seeds = ", ".join(sorted({str(record["seed"]) for record in metrics}))
        points.append(
            f"One training with one seed ({seeds}). The intervals tell how the scores would vary with other test "
            "sheets, not with another split or another training."
        )
    if any(record["weights"] == "random" for record in metrics):
        points.append(
            "A network was trained from random weights, because no ImageNet weights were at hand or they were not "
            "wanted; with them scores are usually higher, and the study's networks had them."
        )
    if any(record.get("interrupted") for record in metrics):
        points.append("A training was interrupted; its model is the best of the epochs until then.")
    if models:
        height, width = models[0]["tensor_size"]
        points.append(
            f"Networks see {height} \N{MULTIPLICATION SIGN} {width} pixels; a defect of a few raw pixels may not "
            "survive the reduction."
        )
    for task in study.tasks:
        record = study.record(f"{task}.metrics")
        if record and record["n_left_out"]:
            points.append(f"{_name(task)}: {count(record['n_left_out'], 'sheet')} of several classes are left out.")
    return points


def _sizes(study: Study) -> list[str]:
    points = []
    for task in study.tasks:
        metrics = study.record(f"{task}.metrics")
        if not metrics:
            continue
        few = {name: n for name, n in metrics["n_test_by_class"].items() if n < FEW_SHEETS}
        if few:
            listed = ", ".join(f"{name} ({n})" for name, n in few.items())
            points.append(
                f"{_name(task)}: few test sheets of {listed}; differences between these classes are mostly chance."
            )
    return points


def _explanations(study: Study) -> list[str]:
    thresholds = {task: study.table(f"{task}.attribution_thresholds") for task in study.tasks}
    faithful = {task: study.table(f"{task}.attribution_faithfulness") for task in study.tasks}
    points = []
    chosen = [
        f"{int(table['n_validation'].max())} in the {_name(task).lower()}"
        for task, table in thresholds.items()
        if table is not None and (table["k_chosen_on"] == "validation").any()
    ]
    if chosen:
        points.append(
            f"The threshold k of each map was chosen on few validation sheets ({enumeration(chosen)}); another draw "
            "may order neighbouring methods differently."
        )
    checked = [
        f"{int(table['n'].max())} in the {_name(task).lower()}"
        for task, table in faithful.items()
        if table is not None and len(table)
    ]
    if checked:
        points.append(f"Faithfulness was measured on few sheets ({enumeration(checked)}).")
    if points:
        points.append(
            "A map that lies on the defect need not be what the decision hangs on: Dice measures the first, deletion "
            "and randomisation the second."
        )
    return points


def _audit(study: Study) -> list[str]:
    audited = any(study.record(f"{task}.stain_audit") for task in study.tasks)
    return (
        [
            "The audit looks for the shortcuts that it is told of. 'No evidence' for white stains says nothing of "
            "others; an attribute that cannot be pasted gives an association, no cause."
        ]
        if audited
        else []
    )


def _name(task: str) -> str:
    return TASKS[task].split(":")[0]
