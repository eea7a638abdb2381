"""What ``kedro status`` and ``kedro prune`` print."""

import json
from dataclasses import dataclass

from kedro.framework.context import KedroContext
from kedro.framework.project import pipelines
from kedro.pipeline import Pipeline

from steel_xai.config import TASKS
from steel_xai.errors import InputError
from steel_xai.hooks import model_of, nodes_of_other_tasks, way_to_make
from steel_xai.lineage.freshness import State, Verdict
from steel_xai.provenance import Provenance, registered_nodes
from steel_xai.pruning import Pruning

FEW = 8
"""As many versions that stay are named."""


@dataclass(frozen=True)
class Row:
    """The state of one result."""

    dataset: str
    state: State
    version: str | None
    reasons: tuple[str, ...]


@dataclass(frozen=True)
class Status:
    """The state of a pipeline's results, in the order in which they are made."""

    pipeline: str
    data_source: str
    rows: tuple[Row, ...]
    notes: tuple[str, ...]
    """On tasks left out, and on inputs that are not fresh and that the pipeline does not make."""
    commands: tuple[str, ...]
    """That make fresh what is not, one after the other."""

    @property
    def is_fresh(self) -> bool:
        """Whether every result is."""
        return all(row.state == "fresh" for row in self.rows)


def status_of(context: KedroContext, name: str) -> Status:
    """Judge the results of a registered pipeline; what they are made from counts, whoever makes it.

    Raises:
        InputError: There is no such pipeline.
    """
    if name not in pipelines:
        raise InputError(f"There is no pipeline '{name}'; `kedro registry list` names those there are.")
    catalog = context.catalog
    provenance = Provenance(registered_nodes(pipelines[name]), catalog, lambda: context.config_loader["parameters"])
    pipeline, notes = _without_untrained_tasks(pipelines[name], provenance)
    verdicts = provenance.verdicts()
    rows = [
        _row(output, verdicts[output], provenance)
        for node in pipeline.nodes
        for output in node.outputs
        if output in verdicts
    ]
    for source in sorted(pipeline.inputs() & verdicts.keys()):
        if verdicts[source].state != "fresh":
            reasons = "; ".join(verdicts[source].reasons)
            notes.append(f"{source}, an input, is {verdicts[source].state} ({reasons})")
    not_fresh = {row.dataset for row in rows if row.state != "fresh"}
    behind = {source for source in provenance.made_from(not_fresh) if verdicts[source].state != "fresh"}
    commands = _commands(name, not_fresh, sorted(behind - pipeline.all_outputs()))
    return Status(name, context.config_loader["globals"]["data_source"], tuple(rows), tuple(notes), commands)


def as_table(status: Status) -> str:
    """Return aligned lines, one a result, and a summary."""
    head = ("dataset", "state", "version", "why")
    cells = [(row.dataset, row.state, row.version or "-", "; ".join(row.reasons)) for row in status.rows]
    widths = [max(len(line[column]) for line in [head, *cells]) for column in range(3)]
    lines = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(line[:3], widths, strict=True)), line[3]]).rstrip()
        for line in [head, *cells]
    ]
    count = {state: sum(row.state == state for row in status.rows) for state in ("fresh", "stale", "missing")}
    summary = ", ".join(f"{number} {state}" for state, number in count.items())
    commands = " and then ".join(f"`{command}`" for command in status.commands)
    advice = f"; {commands} make{'s' if len(status.commands) == 1 else ''} what is not fresh" if commands else ""
    return "\n".join([*lines, "", *status.notes, f"{summary} ({status.data_source}){advice}."])


def as_json(status: Status) -> str:
    """Return the same for programs."""
    rows = [
        {"dataset": row.dataset, "state": row.state, "version": row.version, "reasons": list(row.reasons)}
        for row in status.rows
    ]
    return json.dumps(
        {
            "pipeline": status.pipeline,
            "data_source": status.data_source,
            "fresh": status.is_fresh,
            "results": rows,
            "notes": list(status.notes),
            "commands": list(status.commands),
        },
        indent=2,
    )


def describe_pruning(plan: Pruning, keep: int) -> str:
    """Say by dataset what goes, how large it is, and what is left alone."""
    lines = []
    for name in dict.fromkeys(removal.dataset for removal in plan.removals):
        own = [removal for removal in plan.removals if removal.dataset == name]
        size = megabytes(sum(removal.size for removal in own))
        lines.append(f"{name}: {len(own)} ({size}): {', '.join(removal.version for removal in own)}")
    if plan.needed:
        few = len(plan.needed) <= FEW
        named = f": {', '.join(f'{result.name} {result.version}' for result in plan.needed)}" if few else ""
        lines.append(
            f"{len(plan.needed)} older versions stay, because what stays was (or may have been) made of them{named}."
        )
    if plan.named_by_hand:
        lines.append(f"Left alone, named by hand: {', '.join(str(folder) for folder in plan.named_by_hand)}")
    total = sum(removal.size for removal in plan.removals)
    if plan.removals:
        lines.append(f"{len(plan.removals)} versions to remove, {megabytes(total)} ({total} bytes).")
    else:
        lines.append(f"Nothing to remove: no dataset has more than {keep} versions that nothing needs.")
    return "\n".join(lines)


def megabytes(size: int) -> str:
    """Return a number of bytes as text."""
    return f"{size / 1e6:.1f} MB"


def _commands(name: str, not_fresh: set[str], upstream: list[str]) -> tuple[str, ...]:
    """Name the runs of what is stale that make a pipeline's results fresh.

    Args:
        name: Of the pipeline, whose own run looks at no results but its own.
        not_fresh: Its results that are not.
        upstream: Results not fresh that these are made from, and that the pipeline does not make.
    """
    if not not_fresh:
        return ()
    plans = [[name]]
    if upstream:
        outputs = {maker: made.all_outputs() for maker, made in pipelines.items()}
        plans = [
            [maker] if outputs[maker] >= not_fresh else [maker, name]
            for maker in pipelines
            if outputs[maker] >= {*upstream}
        ]
    shortest = min(plans, key=lambda plan: sum(len(pipelines[maker].nodes) for maker in plan), default=[])
    return tuple(
        "kedro run --only-stale" + (f" --pipeline={maker}" if maker != "__default__" else "") for maker in shortest
    )


def _row(name: str, verdict: Verdict, provenance: Provenance) -> Row:
    result = provenance.newest(name)
    return Row(name, verdict.state, result.version if result else None, verdict.reasons)


def _without_untrained_tasks(pipeline: Pipeline, provenance: Provenance) -> tuple[Pipeline, list[str]]:
    """Leave out the tasks that a run would leave out."""
    models = [task for task in TASKS if model_of(task) in pipeline.inputs()]
    left_out = [task for task in models if provenance.newest(model_of(task)) is None]
    runnable = nodes_of_other_tasks(pipeline, left_out) if left_out else []
    if not runnable:
        return pipeline, []
    notes = [
        f"The {task} task is left out, because it has no model: {way_to_make(model_of(task))}" for task in left_out
    ]
    return pipeline.only_nodes(*runnable), notes
