"""How good the models are: scores by class, detection, calibration, abstention."""

from collections.abc import Mapping, Sequence
from typing import Any

from steel_xai.report.elements import (
    Column,
    Element,
    Paragraph,
    Row,
    Table,
    interval_cell,
    number_cell,
    percent_cell,
    text_cell,
)
from steel_xai.report.formats import count, enumeration, interval, number, percent, percent_interval
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study


def _performance(study: Study, task: str) -> Sequence[Element]:
    metrics = study.record(f"{task}.metrics")
    calibration = study.record(f"{task}.calibration")
    elements: list[Element] = []
    if metrics:
        elements += [Paragraph(_cost(metrics)), _by_class(metrics, study.data(task))]
    elements += study.figure(f"{task}.roc_curve", "ROC curve", _roc(metrics))
    elements += study.figure(f"{task}.confusion_matrix", "Confusion matrix", _confusion(metrics))
    if metrics and metrics.get("detection"):
        elements += _detection(metrics["detection"], study.data(task))
    elements += study.figure(f"{task}.recall_by_defect", "Which defects are found", _recall(metrics))
    if calibration:
        elements.append(Paragraph(_calibration(calibration)))
    elements += study.figure(f"{task}.reliability_diagram", "Reliability diagram", _RELIABILITY)
    if metrics and metrics.get("abstention"):
        elements.append(Paragraph(abstention_sentence(metrics)))
    elements += study.figure(f"{task}.abstention_curve", "Answer, or I don't know", _ABSTENTION)
    return elements


_RELIABILITY = (
    "Bars show how often the model is right at each confidence, hatched the gap to what it claims; the whiskers are 95 "
    "% intervals, wide where few sheets fall (counts below). Left as predicted, right after one temperature was fitted "
    "on the validation sheets."
)
_ABSTENTION = (
    "Left: accuracy of the answers, and how many there are, against the confidence that an answer needs. Right: the "
    "same as accuracy against the share answered; the dashed line would rank all errors last, the dash-dotted one "
    "abstains at random. The nearer to the dashed line, the better the confidence tells right from wrong."
)


def _cost(metrics: Mapping[str, Any]) -> str:
    text = f"Five sheets in memory are predicted in {metrics['ms_per_batch_of_5']:.0f} ms"
    speed = metrics.get("throughput")
    if speed:
        text += (
            f"; from the image file to the prediction {speed['sheets_per_second']:.0f} sheets a second "
            f"({speed['device']}, {count(speed['network_threads'], 'thread')})"
        )
    return f"{text}."


def _by_class(metrics: Mapping[str, Any], data: str) -> Table:
    rows = []
    for name, scores in metrics["test_by_class"].items():
        bounds = scores.get("intervals", {})
        cells = [text_cell(name), number_cell(scores["n"], 0)]
        cells += [
            interval_cell(scores[score], *bounds.get(score, (None, None))) for score in ("precision", "recall", "f1")
        ]
        cells.append(interval_cell(scores["auc"], *bounds.get("auc", (None, None))))
        rows.append(Row(cells))
    columns = [Column("Class", "left"), Column("Test sheets")]
    columns += [Column(name) for name in ("Precision", "Recall", "F1", "AUC")]
    return Table(
        f"Scores by class (n = {metrics['n_test']} test sheets, data: {data})",
        columns,
        rows,
        "95 % bootstrap intervals over the test sheets in brackets. AUC is of the class against all others.",
    )


def _roc(metrics: Mapping[str, Any] | None) -> str:
    text = "The nearer a curve to the upper left corner, the better the ranking; the diagonal is chance. "
    if not metrics:
        return text
    auc = interval(metrics["test"]["auc"], *metrics["test_intervals"]["auc"])
    best, worst = _extremes({name: scores["auc"] for name, scores in metrics["test_by_class"].items()})
    text += f"AUC {auc}, n = {metrics['n_test']}."
    if len(metrics["test_by_class"]) > 2:
        text += f" Best separated: {best[0]} ({number(best[1])}); worst: {worst[0]} ({number(worst[1])})."
    return text


def _confusion(metrics: Mapping[str, Any] | None) -> str:
    text = "Rows are the true classes, columns the predicted ones; the diagonal is right. "
    if not metrics:
        return text
    best, worst = _extremes({name: scores["recall"] for name, scores in metrics["test_by_class"].items()})
    return (
        f"{text}The model finds most of '{best[0]}' ({percent(best[1])}) and fewest of '{worst[0]}' "
        f"({percent(worst[1])} of {metrics['test_by_class'][worst[0]]['n']})."
    )


def _extremes(values: Mapping[str, float | None]) -> tuple[tuple[str, float], tuple[str, float]]:
    known = [(name, value) for name, value in values.items() if value is not None]
    ranked = sorted(known, key=lambda item: item[1]) or [("none", 0.0)]
    return ranked[-1], ranked[0]


def detection_sentence(metrics: Mapping[str, Any]) -> str:
    """Say what the model misses where few defect-free sheets may be reported."""
    found = metrics["detection"]
    missed = percent_interval(found["missed_defect_rate"], found["missed_defect_rate_interval"])
    alarms = percent_interval(found["false_alarm_rate"], found["false_alarm_rate_interval"])
    return (
        f"At a threshold for {percent(found['target_false_alarm_rate'])} false alarms (chosen on "
        f"{found['n_validation_defect_free']} defect-free validation sheets) it misses {missed} of "
        f"{found['n_defective']} defective test sheets, at {alarms} false alarms on {found['n_defect_free']} "
        "defect-free ones."
    )


def abstention_sentence(metrics: Mapping[str, Any]) -> str:
    """Say what the answers are worth if the model may keep silent."""
    chosen = metrics["abstention"]
    if chosen["threshold"] is None:
        return (
            f"No confidence threshold reaches {percent(chosen['target_accuracy'])} accuracy on the validation sheets."
        )
    test = chosen["test"]
    right = percent_interval(test["accuracy"], test.get("accuracy_interval"))
    worth = f", and {right} of these answers are right" if test["n_answered"] else ""
    return (
        f"If it answers only above a confidence of {chosen['threshold']:.4f}, chosen for "
        f"{percent(chosen['target_accuracy'])} accuracy on the validation sheets, it answers "
        f"{test['n_answered']} of {chosen['n_test']} test sheets ({percent(test['coverage'])}){worth}."
    )


def _detection(found: Mapping[str, Any], data: str) -> list[Element]:
    rows = [
        Row(
            [
                text_cell(name),
                number_cell(group["n"], 0),
                number_cell(group["detected"], 0),
                percent_cell(group["recall"], group["recall_interval"]),
            ]
        )
        for name, group in [
            *((group["name"], group) for group in found["recall_by_class"]),
            *((f"{group['size']} defects", group) for group in found["recall_by_size"]),
        ]
    ]
    table = Table(
        f"Detection by defect class and size (n = {found['n_defective']} defective test sheets, data: {data})",
        [Column("Defect", "left"), Column("Sheets"), Column("Reported"), Column("Share reported")],
        rows,
        "Reported means 1 \N{MINUS SIGN} P(no defect) above the threshold. A sheet of several classes counts in each; "
        "sizes are thirds of the sheets by mask area. Exact 95 % intervals.",
    )
    return [Paragraph(detection_sentence({"detection": found})), table]


def _recall(metrics: Mapping[str, Any] | None) -> str:
    text = "Share of the defective test sheets that are reported, by defect class and by size of the defect. "
    if not metrics or not metrics.get("detection"):
        return text
    groups = metrics["detection"]["recall_by_class"]
    best, worst = _extremes({group["name"]: group["recall"] for group in groups})
    sizes = [f"{percent(group['recall'])} of the {group['size']}" for group in metrics["detection"]["recall_by_size"]]
    return (
        f"{text}Most are found of '{best[0]}' ({percent(best[1])}), fewest of '{worst[0]}' ({percent(worst[1])}); "
        f"by size {enumeration(sizes)} ones."
    )


def _calibration(calibration: Mapping[str, Any]) -> str:
    before, after = calibration["test"]["before"], calibration["test"]["after"]

    def error(of: Mapping[str, Any]) -> str:
        low, high = (number(bound) for bound in of["ece_if_calibrated"])
        return f"{interval(of['ece'], *of['ece_interval'])} (a perfectly calibrated model: {low} to {high})"

    return (
        f"Calibration: the expected calibration error is {error(before)} as predicted, and {error(after)} with the "
        f"temperature {calibration['temperature']:.2f}; the negative log likelihood is {number(before['nll'])} and "
        f"{number(after['nll'])}, n = {calibration['n_test']}."
    )


PART = Part(
    "performance",
    "How good are they?",
    "All numbers are of the test sheets, which neither the training nor the choice of any threshold has seen.",
    (
        Stage(
            "evaluation",
            (
                "predictions",
                "baseline_probabilities",
                "metrics",
                "calibration",
                "abstention",
                "roc_curve",
                "confusion_matrix",
                "recall_by_defect",
                "reliability_diagram",
                "abstention_curve",
            ),
            _performance,
            label="evaluation",
        ),
    ),
)
