"""The project's nodes and datasets as lineage sees them: where results lie, and how each would be made now."""

import inspect
import json
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

from kedro.framework.project import pipelines
from kedro.io import CatalogProtocol
from kedro.io.core import is_parameter
from kedro.pipeline import Node, Pipeline

from steel_xai.errors import InputError
from steel_xai.lineage.code import Sources
from steel_xai.lineage.content import ABSENT, content_of_listing, raw_content_of
from steel_xai.lineage.freshness import Recipe, Verdict, judge
from steel_xai.raw_files import RawFile, raw_place
from steel_xai.results import Result, newest_result

IGNORED_PARAMETERS = ("compute", "device", "logger", "n_jobs")
"""Keys that decide where something is computed and shown, not what comes out (beyond rounding)."""

STUDY_RESULTS = "StudyResultsDataset"
"""Stands for the results that the study has made so far."""

NAMES_FILES = "explain.images"
"""Parameter, within a task's block too, that names files of the user's own; they count as an input does."""

NOT_KEPT = ("MemoryDataset", "SharedMemoryDataset", "WorkFolderDataset")
_SETTINGS_OF_NO_EFFECT = ("type", "filepath", "versioned", "metadata", "credentials")


class Provenance:
    """How the results of some nodes would be made now, by the catalog, the parameters and the code of this moment.

    Args:
        nodes: Where two of them make the same dataset, the first counts.
        catalog: With paths made absolute, as a Kedro context gives it.
        parameters: Gives the whole tree, as configured; reading it takes a while, and not every use needs it.
        load_versions: Versions that a run asks for instead of the newest, by dataset.
        sources: The project's code, if it was read before.
    """

    def __init__(
        self,
        nodes: Iterable[Node],
        catalog: CatalogProtocol,
        parameters: Callable[[], Mapping[str, Any]],
        load_versions: Mapping[str, str] | None = None,
        sources: Sources | None = None,
    ):
        self._makers: dict[str, Node] = {}
        for node in nodes:
            for name in node.outputs:
                self._makers.setdefault(name, node)
        self._catalog = catalog
        self._parameters = cache(parameters)
        self._load_versions = load_versions or {}
        self.sources = sources or Sources(Path(__file__).parent)
        self.config_of = cache(self._config_of)
        self.recipe_of = cache(self._recipe_of)

    def _config_of(self, name: str) -> dict[str, Any]:
        resolver = getattr(self._catalog, "config_resolver")  # noqa: B009, the protocol lacks it
        config: dict[str, Any] = resolver.resolve_pattern(name)
        return config

    def place_of(self, name: str) -> RawFile | None:
        """Return where a dataset lies, a path or a URL; None for what is kept in memory, or in a work folder."""
        if is_parameter(name):  # whose names fit the catalog's patterns as well
            return None
        config = self.config_of(name)
        path = str(config.get("filepath", ""))
        kept = path and _class_name(config).rpartition(".")[2] not in NOT_KEPT
        return raw_place(path, Path()) if kept else None

    def path_of(self, name: str) -> Path | None:
        """Return where a dataset lies on this disk; None for what does not."""
        place = self.place_of(name)
        return place if isinstance(place, Path) else None

    def is_result(self, name: str) -> bool:
        """Tell whether a dataset keeps versions on disk."""
        return self.path_of(name) is not None and bool(self.config_of(name).get("versioned"))

    def newest(self, name: str) -> Result | None:
        """Return the version of a result that a run would load."""
        path = self.path_of(name)
        return newest_result(name, path, self._load_versions.get(name)) if path and self.is_result(name) else None

    def raw_content(self, name: str) -> str:
        """Return what stands for the content of a user's own file or folder, or of the files that a parameter names."""
        if is_parameter(name):
            return _content_of_images(self._value_of(name))
        place = self.place_of(name)
        return raw_content_of(place) if place else ""

    def verdicts(self) -> dict[str, Verdict]:
        """Judge every result that the nodes make."""
        recipes = {name: self.recipe_of(node) for name, node in self._makers.items() if self.is_result(name)}
        names = {*recipes, *(source for recipe in recipes.values() for source in recipe.inputs)}
        found = {name: self.newest(name) for name in names}
        return judge(recipes, {name: result for name, result in found.items() if result}, self.raw_content)

    def _recipe_of(self, node: Node) -> Recipe:
        """Say how a node's outputs would be made now."""
        steps = self._with_producers(node)
        inputs = [name for step in steps for name in self._read_by(step) if self.place_of(name) is not None]
        inputs += [name for step in steps for name in files_named_by(step)]
        parameters: dict[str, Any] = {}
        roots = []
        for step in steps:
            function = _name_of_function(step)
            roots.append(function)
            for argument, name in _arguments(step).items():
                if is_parameter(name):
                    parameters |= self._used_parameters(name, function, argument)
            for name in {*counted_inputs(step), *step.outputs}:
                if self.place_of(name) is not None:
                    config = self.config_of(name)
                    roots.append(":".join(_class_name(config).rsplit(".", 1)))
                    options = {key: value for key, value in config.items() if key not in _SETTINGS_OF_NO_EFFECT}
                    parameters |= _flat(options, f"catalog.{name}") if options else {}
        return Recipe(tuple(dict.fromkeys(inputs)), parameters, self.sources.fingerprints(roots))

    def _with_producers(self, node: Node) -> list[Node]:
        """Return a node and, before it, those that make its inputs in memory."""
        steps: dict[str, Node] = {}
        waiting = [node]
        while waiting:
            step = waiting.pop()
            if step.name not in steps:
                steps[step.name] = step
                waiting.extend(self._makers_in_memory(counted_inputs(step)))
        return list(steps.values())

    def made_from(self, names: Iterable[str]) -> set[str]:
        """Name the nodes' results that some of them are made from, directly or through others."""
        found: set[str] = set()
        waiting = list(names)
        while waiting:
            inputs = self.recipe_of(self._makers[waiting.pop()]).inputs
            new = {name for name in inputs if name in self._makers and self.is_result(name)} - found
            found |= new
            waiting.extend(new)
        return found

    def producers_in_memory(self, node: Node) -> list[Node]:
        """Return the nodes whose outputs this one reads from memory."""
        return self._makers_in_memory(node.inputs)

    def _makers_in_memory(self, names: Iterable[str]) -> list[Node]:
        in_memory = [name for name in names if not is_parameter(name) and self.place_of(name) is None]
        return [self._makers[name] for name in in_memory if name in self._makers]

    def _read_by(self, node: Node) -> list[str]:
        """Return the inputs whose content counts; all results of the study that there are, where a node reads those."""
        names = counted_inputs(node)
        kinds = {_class_name(self.config_of(name)).rpartition(".")[2] for name in names if not is_parameter(name)}
        if STUDY_RESULTS not in kinds:
            return names
        made = (name for step in pipelines["__default__"].nodes for name in step.outputs if name not in node.outputs)
        return [*names, *(name for name in made if self.newest(name))]

    def _used_parameters(self, name: str, function: str, argument: str) -> dict[str, Any]:
        """Return the values under a parameter that a function's argument is asked for, by dotted name."""
        dotted = name.removeprefix("params:") if name != "parameters" else ""
        value = self._value_of(name)
        if dotted.rpartition(".")[2] in IGNORED_PARAMETERS:
            return {}
        if isinstance(value, Mapping):
            used = self.sources.used_attributes(function, argument)
            if used is not None and used <= value.keys():
                return {leaf: given for key in sorted(used) for leaf, given in _flat({key: value[key]}, dotted).items()}
        return _flat(value, dotted)

    def _value_of(self, parameter: str) -> Any:
        """Return a parameter's value; None where it is not set."""
        value: Any = self._parameters()
        dotted = parameter.removeprefix("params:") if parameter != "parameters" else ""
        for key in filter(None, dotted.split(".")):
            value = value[key] if isinstance(value, Mapping) and key in value else None
        return value


def files_named_by(node: Node) -> list[str]:
    """Return the parameters of a node that name files of the user's own."""
    section, _, key = NAMES_FILES.rpartition(".")
    sections = {name for name in node.inputs if is_parameter(name)}
    return sorted(f"{name}.{key}" for name in sections if name.removeprefix("params:").rpartition(".")[2] == section)


def counted_inputs(node: Node) -> list[str]:
    """Return a node's inputs without those that its function takes as ``*after``: it only waits for them."""
    arguments = inspect.signature(inspect.unwrap(node.func)).parameters
    if "after" not in arguments:
        return list(node.inputs)
    return list(node.inputs)[: list(arguments).index("after")]


def registered_nodes(first: Pipeline) -> list[Node]:
    """Return the nodes of a pipeline and of all registered ones."""
    return [node for pipeline in (first, *pipelines.values()) for node in pipeline.nodes]


def nodes_to_run(pipeline: Pipeline, provenance: Provenance, verdicts: Mapping[str, Verdict]) -> list[str]:
    """Name the nodes whose results are not fresh, all that come after them, and what these need in memory.

    A node without any result kept on disk is run for those that need it; one without outputs always.
    """
    stale = [
        node.name
        for node in pipeline.nodes
        if not node.outputs or any(name in verdicts and verdicts[name].state != "fresh" for name in node.outputs)
    ]
    after = pipeline.from_nodes(*stale).nodes if stale else []
    chosen = {node.name for node in after}
    waiting = list(after)
    while waiting:
        for node in provenance.producers_in_memory(waiting.pop()):
            if node.name not in chosen:
                chosen.add(node.name)
                waiting.append(node)
    return [node.name for node in pipeline.nodes if node.name in chosen]


def _content_of_images(pattern: str | None) -> str:
    from steel_xai.explain.files import find_images

    try:
        return content_of_listing((str(file.path), file.path) for file in find_images(pattern))
    except (InputError, OSError):  # which the node tells of
        return ABSENT


def _class_name(config: Mapping[str, Any]) -> str:
    kind = config.get("type", "")
    return kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"


def _name_of_function(node: Node) -> str:
    function: Callable[..., Any] = inspect.unwrap(node.func)
    return f"{getattr(function, '__module__', '')}:{getattr(function, '__qualname__', '')}"


def _arguments(node: Node) -> dict[str, str]:
    """Return the dataset of each argument of a node's function."""
    given = node._inputs  # no other way to tell arguments by name from those by position
    if isinstance(given, dict):
        return dict(given)
    names = inspect.signature(inspect.unwrap(node.func)).parameters
    return dict(zip(names, node.inputs, strict=False))


def _flat(value: Any, name: str) -> dict[str, Any]:
    """Return the leaves of a parameter by dotted name, as JSON has them, without those that change no result."""
    if isinstance(value, Mapping) and value:
        leaves: dict[str, Any] = {}
        for key, inner in value.items():
            if key not in IGNORED_PARAMETERS:
                leaves |= _flat(inner, f"{name}.{key}" if name else str(key))
        return leaves
    return {name: json.loads(json.dumps(value, default=str))}
