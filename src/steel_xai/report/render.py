"""From the results of a study to one HTML file that needs nothing else."""

from importlib.metadata import version
from typing import Any

from steel_xai.errors import InputError
from steel_xai.report.elements import Scores, groups
from steel_xai.report.formats import tie
from steel_xai.report.headline import STUDY_DATA, findings, task_scores
from steel_xai.report.limits import limits
from steel_xai.report.provenance import commits, minutes_by_stage, provenance
from steel_xai.report.sections import build_sections
from steel_xai.report.study import OWN, SAMPLE, TASKS, Study

TEMPLATE = "report.html.j2"


def render_report(study: Study) -> str:
    """Write the report of a study.

    Returns:
        An HTML document with style, script and pictures inside; names of files and classes are escaped.

    Raises:
        InputError: There are no results of the data source.
    """
    if not study.results:
        raise InputError(
            f"There are no results of data_source '{study.data_source}' to report on. `kedro run` makes the whole "
            "study, `kedro run --pipeline=binary_model` a first model."
        )
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("steel_xai.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"groups": groups, "tie": tie}
    return environment.get_template(TEMPLATE).render(_content(study))


def _content(study: Study) -> dict[str, Any]:
    scores = [scores for task in study.tasks if (scores := task_scores(study, task))]
    sections = [*build_sections(study), limits(study), provenance(study)]
    anchors = {section.anchor for section in sections}
    return {
        "data_source": study.data_source,
        "synthetic": study.data_source == SAMPLE,
        "trained_on_sample": study.data_source != SAMPLE and SAMPLE in study.trained_on(),
        "scores": scores,
        "study_data": STUDY_DATA,
        "tasks": [TASKS[task].split(":")[0] for task in study.tasks],
        "findings": [finding for finding in findings(study) if finding.anchor in anchors],
        "sections": sections,
        "about": _about(study, scores),
    }


def _about(study: Study, scores: list[Scores]) -> dict[str, str]:
    """Say in a few lines what this report is of."""
    results = [result for name, result in study.results.items() if name != OWN]
    newest = max((result.version for result in results), default="")
    minutes = minutes_by_stage(study)
    index = study.table("sheet_index")
    refused = study.table("quarantine")
    facts = {
        "Data": f"{study.data_source}" + (", synthetic" if study.data_source == SAMPLE else ""),
        "Sheets": ""
        if index is None
        else f"{len(index):,}" + ("" if refused is None else f", {len(refused):,} refused"),
        "Defect classes": f"{len(study.class_names)}",
        "Models": "; ".join(dict.fromkeys(row.model for row in scores)),
        "Seed": ", ".join(sorted({str(model["seed"]) for task in study.tasks if (model := study.model(task))})),
        "Newest result": newest[:16].replace("T", " ").replace(".", ":") + " UTC" if newest else "",
        "Computing time": f"{sum(minutes.values()):.1f} min" if minutes else "",
        "Code": ", ".join([f"steel-xai {version('steel-xai')}", *commits(study)]),
    }
    return {term: value for term, value in facts.items() if value}
