"""Where the results come from: versions, code, and the minutes of each stage."""

from collections import defaultdict

from steel_xai.report.elements import Block, Column, Element, Paragraph, Row, Section, Table, number_cell, text_cell
from steel_xai.report.formats import MISSING, count, number
from steel_xai.report.sections import PARTS
from steel_xai.report.study import OWN, SAMPLE, Study


def minutes_by_stage(study: Study) -> dict[str, float]:
    """Sum the recorded time of the nodes that made the newest results, stage by stage, in the order of the report."""
    seconds: dict[str, dict[tuple[str, str], float]] = defaultdict(dict)
    stages = _labels(study)
    for name, result in study.results.items():
        record = result.record
        if record is not None and name in stages:
            # a node of several outputs took its time once
            seconds[stages[name]][record.node, result.version] = record.seconds
    order = dict.fromkeys(stages.values())
    return {label: sum(seconds[label].values()) / 60 for label in order if label in seconds}


def minutes_sentence(study: Study) -> str:
    """Write the minutes of each stage's nodes and their sum; an empty text where none were recorded."""
    minutes = minutes_by_stage(study)
    if not minutes:
        return ""
    parts = [f"{label} {number(value, 1)}" for label, value in minutes.items()]
    left_out = "loading and saving" if study.data_source != SAMPLE else "making the sample, loading and saving"
    together = number(sum(minutes.values()), 1)
    return f"Minutes by stage: {', '.join(parts)}; together {together}; {left_out} come on top."


def provenance(study: Study) -> Section:
    """List which version of what this report shows."""
    shown = {name: result for name, result in study.results.items() if name != OWN}
    unknown = [name for name, result in shown.items() if result.record is None]
    elements: list[Element] = []
    if minutes := minutes_sentence(study):
        elements.append(Paragraph(minutes))
    if unknown:
        which = "all results" if len(unknown) == len(shown) else f"{len(unknown)} of {len(shown)} results"
        elements.append(
            Paragraph(
                f"The provenance of {which} is unknown: they were made before the project kept records of it, so that "
                "this report cannot tell whether they are of the newest inputs. Running the study again settles it.",
                "note",
            )
        )
    elements.append(_versions(study))
    return Section("provenance", "Where the results come from", "", [Block("", elements)])


def _versions(study: Study) -> Table:
    """Group the results by what they have in common."""
    labels = _labels(study)
    groups: dict[tuple[str, ...], int] = defaultdict(int)
    for name, result in study.results.items():
        if name == OWN:
            continue
        commit = result.record.git_commit if result.record is not None else None
        state = "out of date" if name in study.stale else "unknown" if result.record is None else "current"
        task = name.rpartition(".")[0]
        groups[labels.get(name, "further"), task, result.version, _short(commit) if commit else MISSING, state] += 1
    order = [*dict.fromkeys(labels.values()), "further"]
    rows = [
        Row(
            [text_cell(label), text_cell(task or "all"), number_cell(n, 0), *map(text_cell, (version, commit, state))],
            "control" if state == "out of date" else "",
        )
        for (label, task, version, commit, state), n in sorted(
            groups.items(), key=lambda item: (order.index(item[0][0]), item[0])
        )
    ]
    columns = [
        Column("Stage", "left"),
        Column("Task", "left"),
        Column("Results"),
        Column("Version", "left"),
        Column("Commit", "left"),
        Column("State", "left"),
    ]
    n = sum(groups.values())
    return Table(f"The newest version of each result ({count(n, 'result')}, data: {study.data_source})", columns, rows)


def _labels(study: Study) -> dict[str, str]:
    """Map the results that the report knows to the stage that makes them."""
    return {
        name: stage.label
        for part in PARTS
        for stage in part.stages
        for task in (study.tasks or [""])
        for name in stage.names(task)
    }


def commits(study: Study) -> list[str]:
    """Name the commits of the code that made the results, each once."""
    records = (result.record for result in study.results.values())
    return sorted({_short(record.git_commit) for record in records if record is not None and record.git_commit})


def _short(commit: str) -> str:
    """Shorten a commit, but not the mark that there were changes beside it."""
    name, _, mark = commit.partition("-")
    return f"{name[:10]}-{mark}" if mark else name[:10]
