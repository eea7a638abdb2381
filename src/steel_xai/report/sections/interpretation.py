"""Which pixels decide: attribution methods as segmentation, beside controls, and whether they can be trusted."""

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from steel_xai.evaluation.attribution_table import best_on_validation
from steel_xai.evaluation.published import STUDY_SCORES
from steel_xai.report.elements import Cell, Element, Paragraph, text_cell
from steel_xai.report.formats import (
    count,
    enumeration,
    interval,
    method_name,
    number,
)
from steel_xai.report.frames import frame_table
from steel_xai.report.sections import trust
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study

RANDOM_NETWORK = "_random_network"
CONTROL = "local_contrast"
SUPERVISED = "supervised_scores"
"""Of the pipeline ``segmentation``, shown beside the explanations."""

_RANKING_COLUMNS = {
    "label": "Map",
    "n": "Sheets",
    "dice": "Dice",
    "gain": "Gain over local contrast",
    "random_dice": "Dice, random weights",
    "beats_every_control": "Beats every control",
    "study_dice": "Study: Dice",
}

_SCORE_COLUMNS = {
    "label": "Map",
    "k": "k",
    "recall": "Recall",
    "precision": "Precision",
    "iou": "IoU",
    "pixel_ap": "Pixel AP",
    "pointing_game": "Pointing game",
    "relevance_mass": "Relevance in mask",
    "ms_per_image": "ms a sheet",
}


def _interpretation(study: Study, task: str) -> Sequence[Element]:
    data = study.data(task)
    scores = all_scores(study, task)
    elements: list[Element] = []
    if scores is not None:
        elements += [Paragraph(best_sentence(scores)), *_score_tables(scores, task, data)]
    supervised = study.withheld([f"{task}.{SUPERVISED}"], "kedro run --pipeline=segmentation")
    elements += [supervised] if supervised else []
    elements += study.figure(f"{task}.attribution_ranking", "Attribution as segmentation", _ranking(scores))
    elements += study.figure(f"{task}.attribution_examples", "Defects found by an explanation", _EXAMPLES)
    elements += study.figure(f"{task}.attribution_gallery", "Maps of all methods", _gallery(scores))
    elements += study.figure(f"{task}.class_evidence", "What speaks for and against each class", _EVIDENCE)
    elements += trust.checks(study, task, data)
    elements += trust.errors(study, task, data)
    return elements


_EXAMPLES = (
    "The best and the median sheet of the method that is best on validation sheets: sheet, true and predicted mask, "
    "map. The median says more about the method than the best."
)
_EVIDENCE = (
    "GradCAM of each output on the same sheets: red excites the class, blue inhibits it. Look whether the evidence for "
    "the true class lies on the defect."
)


def all_scores(study: Study, task: str) -> pd.DataFrame | None:
    """Join the scores of explanations and of networks that were trained on masks; None if there are none."""
    tables = [study.table(f"{task}.attribution_scores"), study.table(f"{task}.{SUPERVISED}")]
    present = [table for table in tables if table is not None and len(table)]
    return pd.concat(present, ignore_index=True) if present else None


def _score_tables(scores: pd.DataFrame, task: str, data: str) -> list[Element]:
    """Rank the maps by Dice, each beside itself on a network of random weights; then their other scores."""
    by_name = scores.set_index("method")
    is_random = scores["method"].str.endswith(RANDOM_NETWORK)
    shown = scores[~is_random].sort_values("dice", ascending=False, kind="stable")
    shown = shown.assign(label=[_label(*pair) for pair in zip(shown["method"], shown["kind"], strict=True)])
    study = STUDY_SCORES.get(task, {})
    ranked = shown.assign(
        random_dice=[by_name["dice"].get(f"{name}{RANDOM_NETWORK}") for name in shown["method"]],
        study_dice=[study.get(name, {}).get("dice") for name in shown["method"]],
        gain=shown["gain"].where(shown["method"] != CONTROL),
    )
    n = f"n = {int(scores['n'].max())} defective test sheets"

    def tone(row: Mapping[str, Any]) -> str:
        return {"control": "control", "method": ""}.get(row["kind"], "own")

    n_random = scores["n"][is_random]
    of_random = f" ({count(int(n_random.max()), 'sheet')})" if len(n_random) else ""
    return [
        frame_table(
            f"Explanations as segmentation ({n} unless said, data: {data})",
            ranked.dropna(axis="columns", how="all"),
            names=_RANKING_COLUMNS,
            formats={
                "beats_every_control": _yes,
            },
            signed=("gain",),
            tone=tone,
            note="Gain: paired difference in Dice to local contrast, a map that needs no model, with its 95 % "
            f"bootstrap interval over sheets. Random weights: the same method on a network that was never "
            f"trained{of_random}. Beats every control: the paired gains over all controls, random weights included, "
            "exclude 0 in Dice and in pixel AP; a dash where too few sheets are common to both to tell. The study's "
            "Dice is of the Kaggle Severstal data.",
        ),
        frame_table(
            f"Other scores of the same maps ({n} unless said, data: {data})",
            shown,
            names=_SCORE_COLUMNS,
            formats={
                "k": lambda value: Cell(number(value, 1), value),
                "ms_per_image": lambda value: Cell(number(value, 0), value),
            },
            tone=tone,
            note="Means over sheets. A mask is where the blurred map exceeds its mean + k standard deviations, k "
            "chosen on validation sheets; pixel AP, pointing game and relevance need no threshold.",
        ),
    ]


_KINDS = {"control": "control", "supervised": "trained on masks"}


def _label(method: str, kind: str) -> str:
    """Name a map, and what it is if it is no explanation."""
    return f"{method_name(method)} ({_KINDS[kind]})" if kind in _KINDS else method_name(method)


def _yes(value: Any) -> Cell:
    return text_cell("yes" if str(value) == "True" else "no")


def best_sentence(scores: pd.DataFrame) -> str:
    """Say what the best explanation on validation sheets finds on test sheets, and how many beat every control."""
    methods = scores[(scores["kind"] == "method") & scores["dice"].notna() & scores["validation_dice"].notna()]
    if not len(methods):
        return "There are no scores of explanations."
    best = best_on_validation(methods)
    text = (
        f"{method_name(best['method'])}, which finds the defects of validation sheets best, finds those of test sheets "
        f"with a Dice of "
        f"{interval(best['dice'], best.get('dice_low'), best.get('dice_high'))}, "
        f"{interval(best['gain'], best.get('gain_low'), best.get('gain_high'), sign=True)} against local contrast, "
        f"n = {int(best['n'])} defective test sheets."
    )
    if "beats_every_control" in methods:
        winners = [
            method_name(name) for name in methods["method"][methods["beats_every_control"].astype(str) == "True"]
        ]
        listed = f" ({enumeration(winners)})" if winners else ""
        text += f" {len(winners)} of {len(methods)} methods beat every control{listed}."
    supervised = scores[scores["kind"].isin(["supervised"])]
    if len(supervised):
        top = supervised.loc[supervised["dice"].idxmax()]
        text += (
            f" Trained on masks, {method_name(top['method'])} reaches "
            f"{interval(top['dice'], top.get('dice_low'), top.get('dice_high'))}."
        )
    return text


def _ranking(scores: pd.DataFrame | None) -> str:
    text = (
        "Left: mean Dice of methods (blue) and controls (orange), diamonds the reference study on Severstal sheets. "
        "Crosses are the same method on a network of random weights: the method's Dice minus its paired gain over that "
        "network, which explains fewer sheets. Right: the paired gain over local contrast; an arrow is an interval "
        "that goes on. Believe a method whose interval on the right lies wholly above 0. "
    )
    if scores is None:
        return text
    control = scores[scores["method"] == CONTROL]
    if len(control):
        row = control.iloc[0]
        text += f"Local contrast itself has a Dice of {interval(row['dice'], row['dice_low'], row['dice_high'])}."
    return text


def _gallery(scores: pd.DataFrame | None) -> str:
    if scores is None:  # of labels without masks
        return "The same sheets through every method."
    text = (
        "The same sheets through every method, the true mask outlined. A map that scatters off the outline misleads. "
    )
    methods = scores[scores["kind"] == "method"].sort_values("dice")
    if len(methods) < 2:
        return text
    return (
        f"{text}Mean Dice on test sheets is highest with {method_name(methods.iloc[-1]['method'])} and lowest with "
        f"{method_name(methods.iloc[0]['method'])}."
    )


PART = Part(
    "interpretation",
    "Which pixels decide?",
    "Each explanation of a defective sheet is compared with the defect's mask, if any; no classifier has seen it.",
    (
        Stage(
            "interpretation",
            (
                "attribution_maps",
                "attribution_index",
                "attribution_scores",
                "attribution_scores_by_class",
                "attribution_scores_by_sheet",
                "attribution_ranking",
                "attribution_gallery",
                "attribution_thresholds",
                "attribution_stability",
                "attribution_gains",
                "attribution_faithfulness",
                "attribution_curves",
                "attribution_randomisation",
                "attribution_completeness",
                "confident_errors",
                "edge_hypothesis",
                "attribution_examples",
                "class_evidence",
                "error_analysis",
                "attribution_faithfulness_curves",
            ),
            _interpretation,
            label="interpretation",
        ),
    ),
)
