"""Models that learn from more labels: several classes a sheet, masks, and both behind a gate."""

from collections.abc import Mapping, Sequence
from typing import Any

from steel_xai.report.elements import (
    Cell,
    Column,
    Element,
    Paragraph,
    Row,
    Table,
    interval_cell,
    number_cell,
    text_cell,
)
from steel_xai.report.formats import count, interval, method_name, sentence_case, words
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

_SET_SCORES = {
    "accuracy": "Accuracy (true and found / true or found)",
    "exact_match_ratio": "Exact match",
    "hamming_loss": "Hamming loss (lower is better)",
    "balanced_accuracy": "Balanced accuracy",
    "macro_f1": "Macro F1",
    "micro_f1": "Micro F1",
    "auc": "AUC",
}
_CLASS_COLUMNS = ["Class", "Sheets", "Threshold", "Precision", "Recall", "F1", "AUC", "F1 of the baseline"]
_SETUPS = {
    "empty": "nothing found anywhere",
    "unets": "U-Nets alone",
    "gate_unets": "gate, U-Nets",
    "labels_unets": "labels, U-Nets",
    "gate_labels_unets": "gate, labels, U-Nets",
}
_GAINS = {
    "gate": "gate over U-Nets alone",
    "labels": "labels over U-Nets alone",
    "labels_after_gate": "labels behind the gate",
    "gate_and_labels": "gate and labels over U-Nets alone",
    "whole_over_empty": "the whole over finding nothing",
}
_FILTERS = {"without_filter": "none", "with_filter": "minimum area"}
_MEANS = {"all_sheets": "all sheets", "sheets_with_class": "sheets with the class"}
_BOOTSTRAP = "95 % bootstrap intervals over the test sheets in brackets."


def _multilabel(study: Study, _: str) -> Sequence[Element]:
    metrics = study.record("multilabel.metrics")
    elements: list[Element] = []
    if metrics:
        n, several = metrics["n_test"], metrics["n_test_of_several_classes"]
        what = f"(n = {n} test sheets, {several} of several classes, data: {study.data_source})"
        title = f"{sentence_case(words(metrics['model']))}, {words(metrics['weights'])} weights {what}"
        sides = ("test", "baseline")
        scores = [
            Row([text_cell(name), *(_bounded(metrics[side][key], metrics[f"{side}_intervals"][key]) for side in sides)])
            for key, name in _SET_SCORES.items()
        ]
        elements = [
            _table(title, ["Score", "Network", "Logistic regression on pixels"], scores, _BOOTSTRAP),
            _table(f"Class by class {what}", _CLASS_COLUMNS, _class_rows(metrics), _BOOTSTRAP),
        ]
    elements += study.figure("multilabel.class_scores", "Classes", "Each class beside the baseline; 95 % intervals.")
    elements += study.figure(
        "multilabel.label_sets",
        "Which sets of classes are taken for which",
        "On the diagonal the whole set is right; a row without its diagonal is a combination never recognised as such.",
    )
    elements += study.figure(
        "multilabel.threshold_curves",
        "The choice of the thresholds",
        "F1 against the threshold of each class: chosen on validation sheets, paid for on test sheets.",
    )
    elements += study.figure(
        "multilabel.layer_shap",
        "What drives inner layers",
        "Red speaks for the class, blue against it. Percentages are each class's own and need not add up to 100.",
    )
    return elements


def _class_rows(metrics: Mapping[str, Any]) -> list[Row]:
    rows = []
    for name, scores in metrics["test_by_class"].items():
        baseline = metrics["baseline_by_class"][name]
        cells = [
            text_cell(name),
            number_cell(metrics["n_test_by_class"][name], 0),
            number_cell(metrics["thresholds"][name], 2),
            *(_bounded(scores[key], scores["intervals"].get(key)) for key in ("precision", "recall", "f1", "auc")),
            _bounded(baseline["f1"], baseline["intervals"].get("f1")),
        ]
        rows.append(Row(cells))
    return rows


def _segmentation(study: Study, _: str) -> Sequence[Element]:
    metrics = study.record("segmentation.metrics")
    elements: list[Element] = []
    if metrics:
        networks = metrics["networks"]
        classes = list(next(iter(networks.values()))["minimum_areas"])
        means = [f"Dice, {name}" for name in _MEANS.values()]
        elements = [
            Paragraph(metrics["cross_entropy_against_soft_dice"]["sentence"]),
            _table(
                f"Masks learned from masks (n = {metrics['n_test']} test sheets, data: {study.data_source})",
                ["Network", "Encoder", "Filter", *means, *map(sentence_case, classes)],
                [_network_row(name, network, classes, key) for name, network in networks.items() for key in _FILTERS],
                "Exact Dice; 1 where truth and mask are both empty, so that the mean over all sheets rewards finding "
                "nothing. The filter drops components below a minimum area, chosen for each class on validation sheets "
                "by that very mean: it may give up a class that is small or rare. Single classes: over sheets with the "
                f"class. {_BOOTSTRAP} The same networks, without filter, stand beside the explanations of each task.",
            ),
        ]
    elements += study.figure(
        "segmentation.dice_by_class",
        "Dice by class",
        "Both means of each class and network, over all sheets and over sheets with the class: hollow without the "
        "filter of small components, filled with it.",
    )
    elements += study.figure(
        "segmentation.sheets_by_number_of_classes",
        "How many classes are found on a sheet",
        "Rows: classes there; columns: classes found. Right of the diagonal classes are invented, left of it missed. "
        "Above without the filter of small components, below with it.",
    )
    elements += study.figure(
        "segmentation.examples",
        "Sheets, truth and masks",
        "The best, the median and the worst sheets, masks and Dice without the filter of small components. Look for "
        "what one loss finds and the other does not.",
    )
    elements += study.figure("segmentation.training_curves", "Training", "Loss and Dice by epoch.")
    return elements


def _network_row(name: str, network: Mapping[str, Any], classes: Sequence[str], key: str) -> Row:
    dice = network[key]["dice"]
    by_class = dice["sheets_with_class"]["by_class"]
    scores = [*(dice[key]["mean"] for key in _MEANS), *(by_class[each] for each in classes)]
    about = (method_name(name), words(network["encoder"]), _FILTERS[key])
    return Row([*map(text_cell, about), *map(_estimate, scores)])


def _cascade(study: Study, _: str) -> Sequence[Element]:
    metrics = study.record("cascade.metrics")
    elements: list[Element] = []
    if metrics:
        what = f"n = {metrics['n_test']} test sheets, {metrics['n_test_with_defect']} with a defect"
        elements = [
            Paragraph(_cascade_sentence(metrics)),
            _table(
                f"What each step gains ({what}, data: {study.data_source})",
                ["Set-up", *(f"Dice, {name}" for name in _MEANS.values()), "U-Nets a sheet", "ms a sheet"],
                [_setup_row(_SETUPS.get(name, name), setup) for name, setup in metrics["setups"].items()],
                "Each set-up has thresholds and minimum areas of its own, chosen on validation sheets by the mean Dice "
                f"over all sheets, which is Kaggle's score. {_BOOTSTRAP}",
            ),
            _table(
                f"Paired differences of Dice ({what}, data: {study.data_source})",
                ["Difference", *map(sentence_case, _MEANS.values())],
                [
                    Row(
                        [
                            text_cell(_GAINS.get(name, name)),
                            *(_estimate(gain[f"dice_{key}"], sign=True) for key in _MEANS),
                        ]
                    )
                    for name, gain in metrics["gains"].items()
                ],
                _BOOTSTRAP,
            ),
        ]
    elements += study.figure("cascade.scores", "Set-ups and classes", "Dice of each set-up, over both kinds of means.")
    elements += study.figure(
        "cascade.examples",
        "Sheets in the cascade",
        "What each step lets pass: a defect that the gate or the labels stop is lost, whatever the U-Nets could draw. "
        "Best and median are taken over all test sheets with a defect, also those where nothing is found.",
    )
    return elements


def _cascade_sentence(metrics: Mapping[str, Any]) -> str:
    gate, gains = metrics["gate"], metrics["gains"]
    recall, precision = (interval(gate[key], *gate["intervals"][key]) for key in ("recall", "precision"))
    whole, empty = (_gain(gains[key]["dice_all_sheets"]) for key in ("gate_and_labels", "whole_over_empty"))
    return (
        f"The gate finds a share of {recall} of the sheets with a defect, with precision {precision}. Gate and labels "
        f"change the Dice of the U-Nets alone by {whole} over all {count(metrics['n_test'], 'sheet')}; the whole "
        f"differs from finding nothing anywhere by {empty}."
    )


def _gain(record: Mapping[str, Any]) -> str:
    return interval(record["mean"], record["low"], record["high"], sign=True)


def _setup_row(name: str, setup: Mapping[str, Any]) -> Row:
    cells = [
        text_cell(name),
        *(_estimate(setup["dice"][key]["mean"]) for key in _MEANS),
        number_cell(setup.get("networks_per_sheet"), 2),
        number_cell(setup.get("ms_per_sheet"), 0),
    ]
    return Row(cells, "" if "ms_per_sheet" in setup else "control")


def _table(title: str, columns: Sequence[str], rows: Sequence[Row], note: str) -> Table:
    """Make a table whose columns of numbers stand at the right."""
    numeric = [any(isinstance(row.cells[k].sort, int | float) for row in rows) for k in range(len(columns))]
    aligned = [Column(name, "right" if right else "left") for name, right in zip(columns, numeric, strict=True)]
    return Table(title, aligned, rows, note)


def _bounded(value: float | None, bounds: Sequence[float | None] | None) -> Cell:
    low, high = bounds or (None, None)
    return interval_cell(value, low, high)


def _estimate(record: Mapping[str, Any], *, sign: bool = False) -> Cell:
    return interval_cell(record["mean"], record["low"], record["high"], sign=sign)


def _of(namespace: str, *datasets: str) -> tuple[str, ...]:
    return tuple(f"{namespace}.{name}" for name in datasets)


PART = Part(
    "references",
    "More labels",
    "What networks reach that learn from more than one label a sheet: from several classes, from masks, from both in "
    "turn. They show how far explanations of a classifier are from what pixel labels would buy.",
    (
        Stage(
            "multilabel",
            _of("multilabel", "split", "model", "history", "predictions", "thresholds", "metrics")
            + _of("multilabel", "class_scores", "label_sets", "threshold_curves", "layer_shap", "layer_shap_relevance")
            + _of("multilabel", "training_curves", "class_distribution"),
            _multilabel,
            label="several classes",
            of_task=False,
            heading="Several classes a sheet",
        ),
        Stage(
            "segmentation",
            _of("segmentation", "fcn32_cross_entropy", "fcn32_soft_dice", "unet", "counts", "metrics", "dice_by_class")
            + _of("segmentation", "sheets_by_number_of_classes", "examples", "training_curves"),
            _segmentation,
            label="segmentation",
            of_task=False,
            heading="Segmentation",
        ),
        Stage(
            "cascade",
            _of(
                "cascade", "unets", "histories", "predictions", "counts", "thresholds", "metrics", "scores", "examples"
            ),
            _cascade,
            label="cascade",
            of_task=False,
            heading="The cascade",
        ),
    ),
)
