"""The study in a few lines: scores beside the baseline's and the reference study's, and what was found."""

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from steel_xai.report.elements import Estimate, Finding, Score, Scores
from steel_xai.report.formats import MISSING, interval, sentence_case, words
from steel_xai.report.sections.interpretation import all_scores, best_sentence
from steel_xai.report.sections.performance import abstention_sentence, detection_sentence
from steel_xai.report.study import SAMPLE, TASKS, Study

if TYPE_CHECKING:
    from steel_xai.parameters import PublishedScores

SCORE_NAMES = {"accuracy": "Accuracy", "balanced_accuracy": "Balanced accuracy", "f1": "F1", "auc": "AUC"}
BASELINE_NAME = "logistic regression on pixels"
STUDY_DATA = "Kaggle Severstal sheets"


def task_scores(study: Study, task: str) -> Scores | None:
    """Put a model's scores beside the baseline's and the study's; None if the task has no current metrics."""
    metrics = study.record(f"{task}.metrics")
    if not metrics:
        return None
    name, published = published_scores(study, task, metrics)
    scores = [
        Score(
            title,
            _estimate(metrics["test"], metrics["test_intervals"], key),
            _estimate(metrics["baseline"], metrics["baseline_intervals"], key) if metrics.get("baseline") else None,
            getattr(published, key, None),
        )
        for key, title in SCORE_NAMES.items()
    ]
    weights = {"imagenet": "ImageNet weights", "random": "random weights"}[metrics["weights"]]
    note = f"n = {metrics['n_test']} test sheets of '{study.data(task)}', 95 % bootstrap intervals over the sheets."
    return Scores(TASKS[task], f"{words(metrics['model'])}, {weights}", scores, note, name)


def published_scores(
    study: Study, task: str, metrics: Mapping[str, Any]
) -> "tuple[str | None, PublishedScores | None]":
    """Find the study's row for the same architecture, loss weights and use of copies; two times None if it has none."""
    parameters = study.published.get(task)
    model = study.model(task)
    if parameters is None:
        return None, None
    weighting = model["parameters"].get("class_weights", "none") if model else "none"
    copies = any(of_class["copies"] for of_class in metrics.get("n_train_by_class", {}).values())
    for name, variant in parameters.variants.items():
        own = variant.splits.augmentation != "none" and bool(variant.splits.extra_copies)
        same = variant.training.architecture == metrics["model"] and variant.training.class_weights == weighting
        if variant.published and same and own == copies:
            return words(name), variant.published
    return None, None


def _estimate(values: Mapping[str, Any], bounds: Mapping[str, Sequence[float]], key: str) -> Estimate:
    low, high = bounds.get(key) or (None, None)
    return Estimate(values[key], low, high)


def findings(study: Study) -> list[Finding]:
    """List what a reader should take home, topic by topic, each with a text for every task of the study."""
    topics = (
        ("performance", "Classification", _accuracy),
        ("performance", "Missed defects", _detection),
        ("performance", "Or \N{LEFT SINGLE QUOTATION MARK}I don't know\N{RIGHT SINGLE QUOTATION MARK}", _abstention),
        ("interpretation", "Explanations", _explanations),
        ("audit", "White stains", _stains),
    )
    found = [Finding(anchor, topic, [text(study, task) for task in study.tasks]) for anchor, topic, text in topics]
    return [finding for finding in found if any(finding.texts)]


def _accuracy(study: Study, task: str) -> str:
    metrics = study.record(f"{task}.metrics")
    return _accuracy_sentence(metrics) if metrics else ""


def _detection(study: Study, task: str) -> str:
    metrics = study.record(f"{task}.metrics")
    return detection_sentence(metrics) if metrics and metrics.get("detection") else ""


def _abstention(study: Study, task: str) -> str:
    metrics = study.record(f"{task}.metrics")
    return abstention_sentence(metrics) if metrics and metrics.get("abstention") else ""


def _explanations(study: Study, task: str) -> str:
    scores = all_scores(study, task)
    return "" if scores is None else best_sentence(scores)


def _stains(study: Study, task: str) -> str:
    audit = study.record(f"{task}.stain_audit")
    return f"{sentence_case(audit['verdict'])}. {audit['sentence']}" if audit else ""


def _accuracy_sentence(metrics: Mapping[str, Any]) -> str:
    own = interval(metrics["test"]["balanced_accuracy"], *metrics["test_intervals"]["balanced_accuracy"])
    text = f"Balanced accuracy {own} on {metrics['n_test']} test sheets"
    if metrics.get("baseline"):
        other = interval(metrics["baseline"]["balanced_accuracy"], *metrics["baseline_intervals"]["balanced_accuracy"])
        text += f"; {BASELINE_NAME} reaches {other}"
    return f"{text}."


def headline(study: Study) -> str:
    """Write the headline numbers as a table of text, with the verdict of the audit and the minutes of each stage."""
    rows = [("task", "model", *(title.lower() for title in SCORE_NAMES.values()))]
    notes = []
    for task in study.tasks:
        scores = task_scores(study, task)
        if scores is None:
            notes.append(f"{task}: no current metrics")
            continue
        rows.append((task, scores.model, *(_text(score.own) for score in scores.scores)))
        rows.append(("", BASELINE_NAME, *(_text(score.baseline) for score in scores.scores)))
        if scores.study_model:
            cells = (MISSING if score.study is None else f"{score.study:.3f}" for score in scores.scores)
            rows.append(("", f"study: {scores.study_model} *", *cells))
        audit = study.record(f"{task}.stain_audit")
        if audit:
            notes.append(f"{task}: verdict of the white-stain audit: {audit['verdict']}")
    widths = [max(len(row[k]) for row in rows) for k in range(len(rows[0]))]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
    lines.insert(1, "-" * max(len(line) for line in lines))
    synthetic = " (synthetic sheets: no result on steel)" if study.data_source == SAMPLE else ""
    if any(row[1].startswith("study:") for row in rows):
        notes.append(f"* of the reference study, on {STUDY_DATA}: another data set, no target for this one")
    title = f"Test sheets of '{study.data_source}'{synthetic}, 95 % intervals in brackets"
    return "\n".join([title, *lines, *notes])


def _text(estimate: Estimate | None) -> str:
    return MISSING if estimate is None else estimate.text
