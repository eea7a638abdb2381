"""The parts of the report, each from the results of one pipeline; those without results do not appear."""

from tqdm import tqdm

from steel_xai.report.elements import Section
from steel_xai.report.sections import (
    audit,
    comparison,
    data,
    further,
    inspection,
    interpretation,
    models,
    performance,
    references,
)
from steel_xai.report.stages import Part, build_blocks
from steel_xai.report.study import TASKS, Study

PARTS: tuple[Part, ...] = (
    data.PART,
    models.PART,
    performance.PART,
    comparison.PART,
    inspection.PART,
    interpretation.PART,
    audit.PART,
    references.PART,
)


def known_results(study: Study) -> set[str]:
    """Name the results that a part of the report speaks of."""
    known = {name for part in PARTS for stage in part.stages for task in TASKS for name in stage.names(task)}
    explained = [task for task in study.tasks if f"{task}.attribution_scores" in study.results]
    return known | {f"{task}.{interpretation.SUPERVISED}" for task in explained}


def build_sections(study: Study) -> list[Section]:
    """Build the sections of all stages that have results."""
    parts = tqdm(PARTS, desc="report", unit="section")
    built = [Section(part.anchor, part.title, part.lead, build_blocks(part, study)) for part in parts]
    rest = further.blocks(study, known_results(study))
    built.append(Section("further", "Further results", "Results that have no section of their own yet.", rest))
    return [section for section in built if section.blocks]
