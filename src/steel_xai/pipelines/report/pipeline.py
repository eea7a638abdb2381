"""study_results -> study_report.

::

    study_results, whatever there is --> write_report --> study_report
    {task}'s last results --> count_results --> {task}_finished --> write_report
"""

from collections import defaultdict
from collections.abc import Collection

from kedro.pipeline import Node, Pipeline

from .nodes import count_results, write_report


def create_pipeline(after: Collection[str] = ()) -> Pipeline:
    """Report on all results there are.

    Args:
        after: Datasets that have to be made first, where the report is the last stage of a longer pipeline.
    """
    of_task: dict[str, list[str]] = defaultdict(list)
    for name in sorted(after):
        task, _, dataset = name.rpartition(".")
        of_task[task].append(dataset)
    shared = of_task.pop("", [])
    report = Node(
        write_report,
        inputs=[
            "study_results",
            "params:data_source",
            "params:class_names",
            "params:binary.comparison",
            "params:multi.comparison",
            *shared,
            *(f"{task}_finished" for task in of_task),
        ],
        outputs="study_report",
        name="write_report",
        tags="report",
    )
    return sum((_wait_for(task, names) for task, names in of_task.items()), Pipeline([report]))


def _wait_for(task: str, names: list[str]) -> Pipeline:
    """Kedro warns of names with a dot outside of a namespace, so that a task's own node says when it is done."""
    template = Pipeline([Node(count_results, inputs=names, outputs="finished", name="count_results", tags="report")])
    return Pipeline(template, namespace=task, outputs={"finished": f"{task}_finished"})
