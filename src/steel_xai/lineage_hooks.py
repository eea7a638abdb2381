"""What happens around every run for the sake of lineage: a record beside each result, and no result out of order."""

import hashlib
import logging
import subprocess
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl
from kedro.io import CatalogProtocol
from kedro.io.core import is_parameter
from kedro.pipeline import Node, Pipeline

from steel_xai import __version__
from steel_xai.errors import InputError
from steel_xai.hooks import way_to_make
from steel_xai.lineage.changed import check_unchanged, fields_of
from steel_xai.lineage.content import content_of, size_and_time
from steel_xai.lineage.freshness import Verdict, current_content
from steel_xai.lineage.records import InputState, Record, write_record
from steel_xai.provenance import Provenance, files_named_by, nodes_to_run, registered_nodes
from steel_xai.results import result_of, versions

logger = logging.getLogger(__name__)


class LineageHooks:
    """Write beside each version that a run saves what it was made from.

    Inputs are recorded as they were when the node had loaded them, code as it was when the run began.
    """

    _provenance: Provenance | None = None

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the parameters of this run are to be had."""
        self._parameters = partial(context.config_loader.__getitem__, "parameters")
        self._project = Path(context.project_path)

    # Before plugins' hooks, and before the sample is made.
    @hook_impl(tryfirst=True)
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Refuse a run whose results would not be the newest ones."""
        names = run_params.get("pipeline_names") or ["__default__"]
        self._pipeline_name = ", ".join(names)
        self._pipeline = pipeline
        self._catalog = catalog
        self._states: dict[str, InputState] = {}
        self._began: dict[str, float] = {}
        self._seconds: dict[str, float] = {}
        self._unfinished: dict[str, str] = {}
        self._commit: tuple[str | None] | None = None
        self._provenance = Provenance(pipeline.nodes, catalog, self._parameters, run_params.get("load_versions"))
        check_order(self._provenance, pipeline, str(run_params["run_id"]))

    @hook_impl
    def before_node_run(self, node: Node, inputs: dict[str, Any]) -> None:
        """Remember which state of its inputs the node has loaded; refuse those that lack what they were made with."""
        if self._provenance is not None:
            for name in node.inputs:
                if not is_parameter(name):
                    self._check_unchanged(name, inputs[name])
                    self._state_of(name)
            for name in files_named_by(node):
                self._state_of(name)
            self._began[node.name] = time.perf_counter()

    @hook_impl
    def after_node_run(self, node: Node, outputs: dict[str, Any]) -> None:
        """Remember how long the node ran, and whether a training in it was interrupted."""
        if node.name in self._began:
            self._seconds[node.name] = time.perf_counter() - self._began[node.name]
            for output in outputs.values():
                about: Any = getattr(output, "description", None)  # of a model
                if getattr(about, "interrupted", False):
                    self._unfinished[node.name] = (
                        f"its training was interrupted after epoch {about.epochs_run}; run it again to go on"
                    )

    @hook_impl
    def after_dataset_saved(self, dataset_name: str, data: Any, node: Node) -> None:
        """Write the record of what was saved."""
        provenance = self._provenance
        if provenance is None or not provenance.is_result(dataset_name):
            return
        path = provenance.path_of(dataset_name)
        version = self._catalog.get(dataset_name).resolve_save_version()  # type: ignore[union-attr]
        assert path is not None
        check_newest(dataset_name, path, version, self._pipeline)
        file = path / version / path.name
        recipe = provenance.recipe_of(node)
        size, modified_ns = size_and_time(file)
        record = Record(
            dataset=dataset_name,
            version=version,
            node=node.name,
            pipeline=self._pipeline_name,
            inputs={name: self._state_of(name) for name in recipe.inputs},
            parameters=dict(recipe.parameters),
            code=hashlib.sha256(repr(sorted(recipe.sources.items())).encode()).hexdigest(),
            sources=dict(recipe.sources),
            content=content_of(file),
            size=size,
            modified_ns=modified_ns,
            fields=fields_of(data),
            made_at=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(self._seconds.get(node.name, 0.0), 3),
            package_version=__version__,
            unfinished=self._unfinished.get(node.name),
            git_commit=self._git_commit(),
        )
        self._states[dataset_name] = InputState(version=version, content=record.content)
        try:
            write_record(path / version, record)
        except OSError as error:
            # the result itself is good
            logger.warning(
                "No record of what %s was made from could be written (%s); `kedro status` will show it as stale.",
                dataset_name,
                error,
            )

    def _check_unchanged(self, name: str, data: Any) -> None:
        provenance = self._provenance
        assert provenance is not None
        path = provenance.path_of(name)
        if name not in self._states and path is not None and provenance.is_result(name):
            version = self._catalog.get(name).resolve_load_version()  # type: ignore[union-attr]
            check_unchanged(result_of(name, path, version), data, way_to_make(name))

    def _state_of(self, name: str) -> InputState:
        """Return the state of an input as it was when the run first loaded it."""
        provenance = self._provenance
        assert provenance is not None
        if name not in self._states and (is_parameter(name) or provenance.place_of(name) is not None):
            path = provenance.path_of(name)
            if path is not None and provenance.is_result(name):
                version = self._catalog.get(name).resolve_load_version()  # type: ignore[union-attr]
                content = current_content(result_of(name, path, version))
                self._states[name] = InputState(version=version, content=content or "unreadable")
            else:
                self._states[name] = InputState(version=None, content=provenance.raw_content(name))
        return self._states.get(name, InputState(version=None, content=""))

    def _git_commit(self) -> str | None:
        if self._commit is None:
            self._commit = (git_commit(self._project),)
        return self._commit[0]


class StaleNodes(Exception):
    """A run of what is not fresh: names the nodes to run."""

    def __init__(self, nodes: list[str]) -> None:
        super().__init__(f"to run: {nodes}")
        self.nodes = nodes


class OnlyStaleHooks:
    """Stop a run once, with the names of the nodes whose results are not fresh, so that it is run with these alone."""

    _chosen = False

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember where the parameters of this run are to be had."""
        self._parameters = partial(context.config_loader.__getitem__, "parameters")

    @hook_impl
    def before_pipeline_run(self, run_params: dict[str, Any], pipeline: Pipeline, catalog: CatalogProtocol) -> None:
        """Judge the results of the pipeline, and say what will run and why."""
        if self._chosen:
            return
        self._chosen = True
        provenance = Provenance(pipeline.nodes, catalog, self._parameters, run_params.get("load_versions"))
        verdicts = provenance.verdicts()
        nodes = nodes_to_run(pipeline, provenance, verdicts)
        for line in _explanation(verdicts):
            logger.info(line)
        for name, verdict in self._upstream(pipeline, provenance, catalog).items():
            reasons = "; ".join(verdict.reasons)
            logger.warning("%s, which this run reads but does not make, is %s: %s", name, verdict.state, reasons)
        skipped = len(pipeline.nodes) - len(nodes)
        if nodes:
            total = len(pipeline.nodes)
            logger.info("%d of %d nodes run; %d are skipped: their results are fresh.", len(nodes), total, skipped)
        else:
            logger.info("Nothing to run: all %d results are fresh.", len(verdicts))
        raise StaleNodes(nodes)

    def _upstream(self, pipeline: Pipeline, provenance: Provenance, catalog: CatalogProtocol) -> dict[str, Verdict]:
        """Judge the results that a pipeline reads and others make; return those that are not fresh."""
        names = sorted(name for name in pipeline.inputs() if not is_parameter(name) and provenance.is_result(name))
        if not names:
            return {}
        every = Provenance(registered_nodes(pipeline), catalog, self._parameters, sources=provenance.sources)
        verdicts = every.verdicts()
        return {name: verdicts[name] for name in names if name in verdicts and verdicts[name].state != "fresh"}


def _explanation(verdicts: dict[str, Verdict]) -> list[str]:
    """Say of every reason that does not follow from another which results it makes stale."""
    by_reason: dict[str, list[str]] = {}
    for name, verdict in verdicts.items():
        for reason in verdict.own_reasons:
            by_reason.setdefault(f"{verdict.state} ({reason})", []).append(name)
    return [f"{', '.join(names)}: {reason}" for reason, names in by_reason.items()]


def check_order(provenance: Provenance, pipeline: Pipeline, version: str) -> None:
    """Raise InputError if a result of the pipeline has a version that sorts after the one it would now get."""
    later = []
    for name in sorted(pipeline.all_outputs()):
        path = provenance.path_of(name)
        if path is not None and provenance.is_result(name) and (found := versions(path)) and found[0] > version:
            later.append((name, path / found[0]))
    if later:
        name, folder = later[0]
        more = f" (and {len(later) - 1} other results of this run have later versions too)" if len(later) > 1 else ""
        raise InputError(
            f"This run would save {name} as version {version}, but there is a version {folder.name}{more}, which Kedro "
            "would go on loading, because it takes the last name for the newest: the clock was set back, or the folder "
            f"was named by hand. Set the clock right, or move {folder} away."
        )


def check_newest(name: str, folder: Path, version: str, pipeline: Pipeline) -> None:
    """Raise InputError if another run has meanwhile saved a newer version, which nodes that follow would read.

    Where no node of this run reads the dataset, a warning says so.
    """
    newest = versions(folder)[0]
    if newest <= version:
        return
    message = (
        f"{name} was saved as version {version}, but another run has saved {newest} meanwhile, which Kedro takes for "
        "the newest"
    )
    if name in pipeline.all_inputs():
        raise InputError(
            f"{message}, so that the nodes that follow would read it. Wait until the other run has ended and run "
            "again, or give one of them a data_root of its own."
        )
    logger.warning("%s. Run again if this is the one to keep.", message)


def git_commit(project: Path) -> str | None:
    """Return the commit of a project's folder, with ``-dirty`` if there are changes beside it; None without git."""
    command = ["git", "describe", "--always", "--dirty", "--abbrev=12", "--exclude=*"]
    try:
        found = subprocess.run(command, cwd=project, capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip() or None
