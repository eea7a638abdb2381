"""The sheets: how many, of which classes, what was refused, how they were split."""

from collections.abc import Sequence

import pandas as pd

from steel_xai.report.elements import (
    Column,
    Element,
    Facts,
    Paragraph,
    Row,
    Table,
    number_cell,
    percent_cell,
    text_cell,
)
from steel_xai.report.formats import count, enumeration, percent
from steel_xai.report.frames import frame_table
from steel_xai.report.stages import Part, Stage
from steel_xai.report.study import Study


def _sheets(study: Study, task: str) -> Sequence[Element]:
    index = study.table("sheet_index")
    if index is None:
        return []
    refused = study.table("quarantine")
    n_refused = 0 if refused is None else len(refused)
    stained = int(index["white_stain"].sum())
    sizes = index["duplicate_group"].value_counts()
    alike = sizes[sizes > 1]
    facts = {
        "Sheets": f"{len(index) + n_refused:,} raw = {len(index):,} accepted + {n_refused:,} refused",
        "White stains": f"found on {count(stained, 'sheet')} ({percent(stained / max(len(index), 1))})",
        "Near-duplicates": f"{count(alike.sum(), 'sheet')} in {count(len(alike), 'group')}, none of which is split",
    }
    elements: list[Element] = [Facts(facts), _classes(index, study)]
    if n_refused and refused is not None:
        elements.append(_refused(refused))
    return elements


def _classes(index: pd.DataFrame, study: Study) -> Table:
    labels = index.filter(regex=r"^label_\d+$")
    n_labels = labels.sum(axis=1)
    stained = index["white_stain"] == 1
    groups = {"no defect": n_labels == 0}
    for k, name in enumerate(study.class_names, start=1):
        if f"label_{k}" in labels:
            groups[name] = labels[f"label_{k}"] == 1
    groups["several classes"] = n_labels > 1
    rows = [
        Row(
            [
                text_cell(name),
                number_cell(int(members.sum()), 0),
                percent_cell(float(members.mean())),
                percent_cell(float(stained[members].mean()) if members.any() else None),
            ]
        )
        for name, members in groups.items()
    ]
    return Table(
        f"Accepted sheets by defect class (n = {len(index)}, data: {study.data_source})",
        [Column("Class", "left"), Column("Sheets"), Column("Of all sheets"), Column("Of these with white stains")],
        rows,
        "A sheet of several classes counts in each of them. Stains as found by the detector, or as listed by the user.",
    )


def _refused(refused: pd.DataFrame) -> Table:
    counts = refused["reason"].value_counts()
    rows = [Row([text_cell(str(reason)), number_cell(int(n), 0)]) for reason, n in counts.items()]
    return Table(f"Refused sheets by reason (n = {len(refused)})", [Column("Reason", "left"), Column("Sheets")], rows)


def _statistics(study: Study, task: str) -> Sequence[Element]:
    table = study.table("sheet_statistics")
    if table is None:
        return []
    return [frame_table(f"The raw sheets in numbers (data: {study.data_source})", table)]


def _split(study: Study, task: str) -> Sequence[Element]:
    split = study.table(f"{task}.split")
    if split is None:
        return study.figure(f"{task}.class_distribution", "Class distribution", "Sheets of each class and split.")
    originals = split[split["copy"] == 0]
    sizes = originals["split"].value_counts()
    parts = enumeration([f"{sizes.get(name, 0):,} for {use}" for name, use in _USES.items()])
    text = f"{count(len(originals), 'sheet')}: {parts}."
    n_copies = len(split) - len(originals)
    if n_copies:
        text += f" {count(n_copies, 'flipped copy', 'flipped copies')} of rare classes join the training sheets."
    caption = (
        "Sheets of each class in the three splits"
        + (", with the copies of rare classes beside them. " if n_copies else ". ")
        + "Compare the bars of one colour: a class with few test sheets has wide intervals in every table below."
    )
    return [
        Paragraph(text),
        *study.figure(f"{task}.class_distribution", "Class distribution", caption),
    ]


_USES = {"train": "training", "validation": "validation (every threshold is chosen there)", "test": "the test"}

PART = Part(
    "data",
    "The data",
    "",
    (
        Stage(
            "data_processing",
            ("sheets", "masks", "sheet_index", "quarantine"),
            _sheets,
            label="data",
            of_task=False,
            heading="Sheets",
        ),
        Stage(
            "sheet_statistics",
            ("sheet_statistics",),
            _statistics,
            label="sheet statistics",
            of_task=False,
            heading="Statistics",
        ),
        Stage("splits", ("split", "class_distribution"), _split, label="data"),
    ),
)
