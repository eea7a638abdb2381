"""Where the models cheat: the white-stain audit, other attributes, the remedy, the check of the audit itself."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from steel_xai.report.elements import Cell, Element, Paragraph, Test, Verdict, text_cell
from steel_xai.report.formats import count, interval, p_value, percent, sentence_case, signed
from steel_xai.report.frames import frame_table
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

_TESTS = {
    "observational": "Observed",
    "matched": "Observed, of like brightness",
    "paste": "Pasted",
    "removal": "Painted over",
    "attribution": "Relevance",
}


def verdict(audit: Mapping[str, Any]) -> Verdict:
    """Tell what an audit found."""
    tests = [
        Test(_TESTS.get(name, sentence_case(name)), test["holds"], test["sentence"])
        for name, test in (audit.get("tests") or {}).items()
    ]
    return Verdict(audit.get("name", ""), audit["verdict"], audit["sentence"], tests)


def _audit(study: Study, task: str) -> Sequence[Element]:
    elements: list[Element] = []
    audit = study.record(f"{task}.stain_audit")
    if audit:
        elements.append(verdict(audit))
    elements += study.figure(f"{task}.stain_distributions", "Sheets with and without stains", _distributions(audit))
    elements += study.figure(
        f"{task}.stain_dose_curve", "More stain, more certainty?", _dose(study.table(f"{task}.stain_dose_response"))
    )
    elements += study.figure(f"{task}.stain_examples", "Before and after", _EXAMPLES)
    others = study.record(f"{task}.attribute_audits") or {}
    elements += [verdict(other) for other in others.values()]
    if others:
        elements += study.figure(f"{task}.attribute_distributions", "Sheets with and without other attributes", _OTHERS)
    return elements


_EXAMPLES = (
    "Sheets before and after a white stain was pasted, or painted over, with P(no defect) above each and GradCAM of "
    "two outputs under it, no defect and the true class (on defect-free sheets the likeliest one); changed pixels are "
    "outlined in blue. Look whether the evidence moves with the stain, away from the defect. The sheets are the first "
    "of a seeded random order."
)

_OTHERS = (
    "The same for other attributes and the outputs that they are suspected to speak for. Nothing is pasted here: where "
    "groups differ, the model goes with the attribute or with something that comes along with it."
)


def _distributions(audit: Mapping[str, Any] | None) -> str:
    text = (
        "Every point is a defect-free test sheet, on a scale of log-odds; the box is the middle half of the "
        "sheets, the line in it their median. If stains meant nothing to the model, both groups would lie alike. "
    )
    if not audit or audit.get("effect_size") is None:
        return text
    effect = interval(audit["effect_size"], audit["effect_low"], audit["effect_high"], 2, sign=True)
    sizes = audit["group_sizes"]
    return (
        f"{text}Effect size {effect}, one-sided p = {p_value(audit['p_value'])}, {sizes['attributed']} sheets with and "
        f"{sizes['plain']} without stains."
    )


def _dose(doses: pd.DataFrame | None) -> str:
    text = (
        "Median shift of P(no defect) of defective sheets against area and number of pasted stains; the control is "
        "plain steel of the same shape in the same place. "
    )
    if doses is None:
        return text
    stains = doses[(doses["kind"] == "stain") & (doses["series"] == "number")]
    if not len(stains):
        return text
    most = stains.loc[stains["n_stains"].idxmax()]
    shift = interval(most["median_shift"], most["low"], most["high"], sign=True)
    return f"{text}{sentence_case(count(most['n_stains'], 'stain'))} shift it by {shift} (n = {int(most['n'])} sheets)."


def _remedy(study: Study, task: str) -> Sequence[Element]:
    table = study.table(f"{task}.stain_remedy")
    if table is None:
        return []
    before, after = (table[table["state"] == state] for state in ("before", "after"))
    elements: list[Element] = []
    if len(before) and len(after):
        first, second = before.iloc[0], after.iloc[0]
        elements.append(
            Paragraph(
                "The same network was trained again with stains pasted on sheets of all classes. A pasted stain shifts "
                f"P(no defect) by {signed(second['paste_shift'])} instead of {signed(first['paste_shift'])} and flips "
                f"{percent(second['flip_rate'])} instead of {percent(first['flip_rate'])} of the predictions; the "
                f"verdict is '{second['verdict']}' after '{first['verdict']}'."
            )
        )
    shown = table.rename(columns={"paste_low": "paste_shift_low", "paste_high": "paste_shift_high"})
    elements.append(
        frame_table(
            f"Before and after the remedy (n = {int(table['n_test'].max())} test sheets, data: {study.data(task)})",
            shown,
            names={
                "state": "Model",
                "accuracy": "Accuracy",
                "balanced_accuracy": "Balanced accuracy",
                "recall_plain": "Recall of defects",
                "recall_stained": "The same, stain pasted",
                "paste_shift": "Shift by a stain",
                "flip_rate": "Flipped",
                "effect_size": "Effect size",
                "verdict": "Verdict",
            },
            formats={"flip_rate": lambda share: Cell(percent(share), share)},
            signed=("paste_shift", "plain_patch_shift", "effect_size"),
        )
    )
    return elements


def _check(study: Study, task: str) -> Sequence[Element]:
    table = study.table("stain_audit_check")
    if table is None:
        return []
    planted = table[table["condition"] == "planted"]
    equal = table[table["condition"] == "equal"]
    found = int((planted["verdict"] == "shortcut").sum())
    alarms = int((equal["verdict"] == "shortcut").sum())
    return [
        Paragraph(
            f"On synthetic samples whose answer is known the audit found {found} of {len(planted)} planted shortcuts "
            f"and raised {alarms} false alarms in {count(len(equal), 'sample')} without one."
        ),
        frame_table(
            "The audit where the answer is known (synthetic samples, a classifier trained on each)",
            table,
            names={
                "condition": "Stains",
                "seed": "Seed",
                "n_sheets": "Sheets",
                "auc": "AUC",
                "effect_size": "Effect size",
                "p_value": "p",
                "paste_shift": "Shift by a stain",
                "plain_patch_shift": "Shift by plain steel",
                "verdict": "Verdict",
                "right": "Right",
            },
            formats={"p_value": lambda value: Cell(p_value(value), value), "condition": _condition},
            signed=("effect_size", "paste_shift", "plain_patch_shift"),
        ),
    ]


def _condition(name: str) -> Cell:
    return text_cell({"planted": "planted shortcut", "equal": "equal rates"}.get(name, name))


PART = Part(
    "audit",
    "Does the model cheat?",
    "White stains lie mostly on good sheets. The audit asks whether a model has learned to read 'stain' as 'no "
    "defect': by comparing sheets, by pasting stains and painting them over, and by where the relevance lies.",
    (
        Stage(
            "stain_audit",
            (
                "stain_audit",
                "stain_interventions",
                "stain_shifts",
                "stain_examples",
                "stain_dose_response",
                "stain_groups",
                "attribute_audits",
                "attribute_distributions",
                "stain_distributions",
                "stain_dose_curve",
            ),
            _audit,
            label="stain audit",
        ),
        Stage(
            "stain_remedy",
            ("remedied_model", "stain_remedy"),
            _remedy,
            label="stain remedy",
            heading="Remedy",
        ),
        Stage(
            "stain_audit_check",
            ("stain_audit_check",),
            _check,
            label="check of the audit",
            of_task=False,
            heading="Does the audit know the answer?",
        ),
    ),
)
