"""Results that no section knows: shown as they are, so that a new pipeline appears in the report at once."""

from collections.abc import Mapping
from itertools import groupby
from typing import Any

from steel_xai.report.elements import Block, Element, Facts, Paragraph
from steel_xai.report.formats import MISSING, number, sentence_case, words
from steel_xai.report.frames import frame_table
from steel_xai.report.study import OWN, Study

LONGEST_TABLE = 40
"""Rows; of a longer table only the path is given."""

REPORTING = "08_reporting"
NO_STUDY = ("explained_sheets", "explanations")
"""Of sheets that a user pointed at."""


def blocks(study: Study, known: set[str]) -> list[Block]:
    """Build one block for each namespace with results of the reporting layer that no section speaks of."""
    names = [
        name
        for name, result in sorted(study.results.items())
        if name not in known and _short(name) not in (OWN, *NO_STUDY) and REPORTING in result.path.parts
    ]
    built = []
    for namespace, group in groupby(names, key=_namespace):
        of_group = list(group)
        withheld = study.withheld(of_group, _command(study, of_group))
        elements = [withheld] if withheld else [element for name in of_group for element in _show(study, name)]
        if elements:
            built.append(Block(sentence_case(words(namespace or "of all tasks")), elements))
    return built


def _namespace(name: str) -> str:
    return name.rpartition(".")[0]


def _short(name: str) -> str:
    return name.rpartition(".")[2]


def _command(study: Study, names: list[str]) -> str | None:
    """Name the command that made the results, if it was recorded."""
    records = (study.results[name].record for name in names if name in study.stale)
    pipelines = [record.pipeline for record in records if record is not None and record.pipeline]
    return f"kedro run --pipeline={pipelines[0]}" if pipelines else None


def _show(study: Study, name: str) -> list[Element]:
    path = study.results[name].path
    title = sentence_case(words(_short(name)))
    if path.suffix == ".png":
        return list(study.figure(name, title, f"Data: {study.data_source}."))
    if path.suffix == ".json":
        record = study.record(name)
        return [Facts(dict(_flat(record)))] if isinstance(record, Mapping) else []
    if path.suffix == ".csv":
        table = study.table(name)
        if table is None or len(table) > LONGEST_TABLE:
            return [Paragraph(f"{title}: {0 if table is None else len(table)} rows in {path.name}.")]
        return [frame_table(f"{title} (data: {study.data_source})", table)]
    return []


def _flat(record: Any, prefix: str = "") -> list[tuple[str, str]]:
    """List the numbers and texts of nested mappings, named by their way down; long lists are counted."""
    if isinstance(record, Mapping):
        return [
            pair for key, value in record.items() for pair in _flat(value, f"{prefix} \N{MIDDLE DOT} {words(str(key))}")
        ]
    name = sentence_case(prefix.removeprefix(" \N{MIDDLE DOT} "))
    if isinstance(record, list):
        short = len(record) <= 5 and not any(isinstance(value, list | Mapping) for value in record)
        return [(name, ", ".join(_value(value) for value in record) if short else f"{len(record)} entries")]
    return [(name, _value(record))]


def _value(value: Any) -> str:
    if value is None:
        return MISSING
    if isinstance(value, float):
        return number(value)
    return str(value)
