"""Whether explanations can be trusted, and what they say of the model's errors."""

from collections.abc import Mapping
from typing import Any

import pandas as pd

from steel_xai.report.elements import Cell, Element, Paragraph, Points, text_cell
from steel_xai.report.formats import (
    count,
    enumeration,
    interval,
    method_name,
    p_value,
    percent,
    percent_interval,
)
from steel_xai.report.frames import frame_table
from steel_xai.report.study import Study

_LEVEL = 0.01
"""Of a test whose result is put into words."""


def errors(study: Study, task: str, data: str) -> list[Element]:
    """Show the most confident errors, and whether the model looks at the black edge when it is wrong."""
    caption = _errors(study.table(f"{task}.confident_errors"))
    elements: list[Element] = [*study.figure(f"{task}.error_analysis", "The most confident errors", caption)]
    edge = study.record(f"{task}.edge_hypothesis")
    return [*elements, *_edge(edge, data)] if edge else elements


def _map_cell(name: str) -> Cell:
    return text_cell(method_name(name))


def checks(study: Study, task: str, data: str) -> list[Element]:
    """Show faithfulness, stability, randomisation and completeness."""
    faithful = study.table(f"{task}.attribution_faithfulness")
    stable = study.table(f"{task}.attribution_stability")
    randomised = study.table(f"{task}.attribution_randomisation")
    complete = study.table(f"{task}.attribution_completeness")
    elements: list[Element] = [
        *study.figure(
            f"{task}.attribution_faithfulness_curves", "Can the maps be trusted?", _faithfulness(faithful, randomised)
        )
    ]
    names = {"method": "Method", "n": "Sheets"}
    checks: pd.DataFrame | None = None
    for table, columns in (
        (
            faithful,
            {
                "deletion_gain": "Deletion: gain over random order",
                "insertion_gain": "Insertion: gain over random order",
            },
        ),
        (stable, {"seed_correlation": "Other seed: correlation", "noise_correlation": "Noise: correlation"}),
    ):
        if table is not None:
            names |= columns
            bounds = [f"{column}{end}" for column in columns for end in ("", "_low", "_high")]
            methods = table[table["method"] != "random"]  # the order that the gains are measured against
            kept = methods[["method", *(column for column in ("n", *bounds) if column in table)]]
            checks = kept if checks is None else checks.merge(kept, on="method", how="outer", suffixes=("", "_2"))
    if checks is not None:
        elements.append(
            frame_table(
                f"Faithfulness and stability (data: {data})",
                checks,
                names=names,
                formats={"method": _map_cell},
                digits=2,
                signed=("deletion_gain", "insertion_gain"),
                note="Deletion and insertion: by how much the area under the target's probability is better than for "
                "the same pixels in random order; negative is worse than chance. Correlations are rank correlations "
                "with the map made again. Few sheets: read the intervals.",
            )
        )
    if complete is not None and len(complete):
        parts = [f"{method_name(row.method)} {row.error:.1e} (n = {int(row.n)})" for row in complete.itertuples()]
        elements.append(
            Paragraph(
                "Largest error of completeness, as a share of the largest logit of the sheet or its baseline: "
                f"{enumeration(parts)}."
            )
        )
    return elements


def _faithfulness(faithful: pd.DataFrame | None, randomised: pd.DataFrame | None) -> str:
    text = (
        "Above: the target's probability while pixels are deleted, or inserted into a blurred sheet, strongest "
        "evidence first; a faithful map falls, or rises, faster than random order (grey). Below: how much a map's "
        "evidence changes as layers lose their weights from the head down; one that stays does not show what was "
        "learned. "
    )
    if faithful is not None and faithful["deletion_gain"].notna().any():
        best = faithful.loc[faithful["deletion_gain"].idxmax()]
        gain = interval(best["deletion_gain"], best["deletion_gain_low"], best["deletion_gain_high"], 2, sign=True)
        text += f"Deletion hurts most for {method_name(best['method'])} ({gain}, n = {count(best['n'], 'sheet')}). "
    if randomised is not None and len(randomised):
        head = randomised[randomised["depth"] == randomised["depth"].min()]
        if head["evidence_correlation"].notna().any():
            most = head.loc[head["evidence_correlation"].idxmax()]
            mean, low, high = (most[f"evidence_correlation{end}"] for end in ("", "_low", "_high"))
            text += (
                f"With a random head the evidence of {method_name(most['method'])} still correlates by "
                f"{interval(mean, low, high, 2)} with itself (n = {count(most['evidence_correlation_n'], 'sheet')})."
            )
    return text


def _errors(errors: pd.DataFrame | None) -> str:
    text = (
        "Sheets that the model gets wrong with the highest confidence, with GradCAM of the predicted and of the true "
        "class: what did it take for a defect, and what did it overlook? "
    )
    if errors is None or not len(errors):
        return text
    top = errors.loc[errors["confidence"].idxmax()]
    n = errors["group"].value_counts()
    return (
        f"{text}Shown are {count(n.get('false_positive', 0), 'false positive')} and "
        f"{count(n.get('false_negative', 0), 'false negative')}; the most confident is {top['image_id']} with "
        f"{percent(top['confidence'], 1)}."
    )


def _edge(edge: Mapping[str, Any], data: str) -> list[Element]:
    if edge.get("note"):
        return [Paragraph(f"{edge['note']}: whether it looks at the black edge was not measured.")]
    rows = []
    for output, found in edge["outputs"].items():
        wrong, other, test = found["groups"]["false_positive"], found["groups"]["other"], found["tests"]["other"]
        low, high = wrong["black_end_interval"] or (None, None)
        rows.append(
            {
                "output": output,
                "n": wrong["n"],
                "black_end": wrong["black_end"],
                "black_end_low": low,
                "black_end_high": high,
                "other": other["black_end"],
                "median": wrong["median"],
                "median_other": other["median"],
                "effect": test["effect"],
                "effect_low": test.get("effect_low"),
                "effect_high": test.get("effect_high"),
                "p": test["p_value"],
            }
        )
    suspects = [row for row in rows if row["p"] is not None and row["p"] < _LEVEL and row["effect"] > 0]
    sentences = [_edge_sentence(row, edge["reach"]) for row in suspects]
    table = frame_table(
        f"Does the model look at the black edge when it is wrong? (n = {edge['n']} "
        f"{' and '.join(edge['splits'])} sheets, data: {data})",
        pd.DataFrame(rows),
        names={
            "output": "Taken for",
            "n": "False positives",
            "black_end": "Of these with a black end",
            "other": "Other sheets with a black end",
            "median": "Relevance near the edge",
            "median_other": "The same, other sheets",
            "effect": "Effect size",
            "p": "p",
        },
        formats={"p": lambda value: Cell(p_value(value), value)},
        digits=2,
        signed=("effect",),
        note=f"Medians of the share of positive {method_name(edge['method'])} relevance within {edge['reach']:.0f} raw "
        "pixels of the black edge, of sheets that have one; two-sided Mann-Whitney tests against all other sheets, "
        "their effect sizes with 95 % bootstrap intervals over sheets. Too few sheets to compare: no p.",
    )
    return [Points(sentences), table] if sentences else [table]


def _edge_sentence(row: Mapping[str, Any], reach: float) -> str:
    share = percent_interval(row["black_end"], (row["black_end_low"], row["black_end_high"]))
    return (
        f"Sheets wrongly taken for '{row['output']}' rest on the black edge more than others do: {share} of {row['n']} "
        f"have a black end, and a median of {percent(row['median'])} of their relevance lies within {reach:.0f} raw "
        f"pixels of it, against {percent(row['median_other'])} on other sheets (effect "
        f"{interval(row['effect'], row['effect_low'], row['effect_high'], 2, sign=True)}, p = {p_value(row['p'])})."
    )
