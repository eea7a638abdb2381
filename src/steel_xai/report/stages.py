"""From the results of a pipeline to the blocks that show them."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from steel_xai.report.elements import Block, Element, Paragraph
from steel_xai.report.study import TASKS, Study

logger = logging.getLogger(__name__)

Builder = Callable[[Study, str], Sequence[Element]]


@dataclass(frozen=True)
class Stage:
    """What one pipeline makes, and how it is shown.

    Attributes:
        pipeline: That renews the results; ``{task}`` stands for the task.
        datasets: Names of the results, without the task. All are named, shown or not: one that is stale withholds
            the whole block, so that no stale figure stands beside a new number.
        build: Maps a study and a task to what is shown.
        of_task: Whether each task has such results; otherwise ``build`` gets an empty task.
        heading: Of the block, where it is not the task's.
        label: What the stage's minutes are listed under.
    """

    pipeline: str
    datasets: tuple[str, ...]
    build: Builder
    label: str
    of_task: bool = True
    heading: str = ""

    def names(self, task: str) -> list[str]:
        """Name the datasets as in the catalog."""
        return [f"{task}.{name}" if self.of_task else name for name in self.datasets]

    def command(self, task: str) -> str:
        """Write the command that renews the results."""
        return f"kedro run --pipeline={self.pipeline.format(task=task)}"


@dataclass(frozen=True)
class Part:
    """A section of the report: its stages in order."""

    anchor: str
    title: str
    lead: str
    stages: tuple[Stage, ...]


def build_blocks(part: Part, study: Study) -> list[Block]:
    """Build the blocks of a part: task by task within a run of stages of tasks."""
    return [
        Block(_heading(stage, task), elements)
        for stage in part.stages
        for task in (study.tasks if stage.of_task else [""])
        if (elements := _build(stage, study, task))
    ]


def _heading(stage: Stage, task: str) -> str:
    if not stage.of_task:
        return stage.heading
    return f"{stage.heading}. {TASKS[task]}" if stage.heading else TASKS[task]


def _build(stage: Stage, study: Study, task: str) -> list[Element]:
    """Show a stage's results, or say why not: one that is stale or damaged hides its whole block."""
    present = [name for name in stage.names(task) if name in study.results]
    if not present:
        return []
    withheld = study.withheld(present, stage.command(task))
    if withheld:
        return [withheld]
    try:
        return list(stage.build(study, task))
    except (OSError, KeyError, TypeError, ValueError) as error:
        # a file of an older release, or damaged by hand: the rest of the report is worth having
        logger.warning("The report leaves out %s, which cannot be read: %r", ", ".join(present), error)
        text = f"These results cannot be read ({type(error).__name__}: {error}). {stage.command(task)} makes them anew."
        return [Paragraph(text, "note")]
