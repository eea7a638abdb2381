"""How the project reads its configuration: one rule on top of Kedro's loader, task blocks inherit."""

from collections.abc import Iterator
from copy import deepcopy
from difflib import get_close_matches
from pathlib import Path
from typing import Any

import yaml
from kedro.config import MissingConfigException, OmegaConfigLoader

from steel_xai.errors import InputError

SAMPLE = "sample"
"""The data source that the project makes by itself."""

TASKS = ("binary", "multi")
"""The tasks of one class a sheet; each is a Kedro namespace and may have a block of its own in the parameters."""

MULTILABEL = "multilabel"
"""The task of several classes a sheet, a namespace as well; it is trained and evaluated like the others."""

TRAINED_TASKS = (*TASKS, MULTILABEL)

TRAINED_SECTIONS = ("splits", "training", "evaluation")
"""Sections that every trained task shares unless its block says otherwise."""

INHERITED_SECTIONS = (*TRAINED_SECTIONS, "comparison", "interpretation", "explain")
"""Those of the tasks of one class a sheet."""

VARIED_SECTIONS = ("splits", "training")
"""Sections of a task that each variant of its comparison inherits."""

CLUSTER = "cluster"
"""The environment of runs on a cluster: of the user's own data, which conf/local states for all other runs."""

USERS_OWN = ("globals", "parameters", "catalog")
"""Kinds of configuration that a user may state in conf/local."""

GLOBALS = (
    "data_source",
    "data_root",
    "raw_root",
    "model_source",
    "raw_size",
    "tensor_size",
    "channels",
    "class_names",
    "seed",
)
"""What globals.yml may state."""


class TaskConfigLoader(OmegaConfigLoader):
    """Kedro's loader; ``binary.training`` holds the bare ``training`` section overlaid with the task's own keys.

    So a task block states only what differs, ``--params=training.epochs=3`` reaches every task and
    ``--params=binary.training.epochs=3`` one.

    Each kind of configuration is read once. A run asks for its parameters and globals ten times, and Kedro's loader
    reads all files every time, which took longer than all other work at the start of a command.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        """Args: as of Kedro's loader."""
        self._found: dict[str, dict[str, Any]] = {}
        super().__init__(*args, **options)

    def __setitem__(self, key: str, value: Any) -> None:
        """Take a value in place of what the files say."""
        self._found.clear()
        super().__setitem__(key, value)

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of one kind (``catalog``, ``parameters``, ``globals``...)."""
        if key not in self._found:
            self._found[key] = self._read(key)
        return deepcopy(self._found[key])

    def _read(self, key: str) -> dict[str, Any]:
        if self.env == CLUSTER and self.default_run_env and key in USERS_OWN and key not in self:
            self._refuse_to_lose(key)
        config: dict[str, Any] = super().__getitem__(key)
        if key == "globals":
            if key not in self:  # so it comes from files
                self._refuse_unknown_globals(config)
            return locate_raw_data(config)
        return inherit_sections(config) if key == "parameters" else config

    def _refuse_to_lose(self, kind: str) -> None:
        """Raise InputError that names what the user's own configuration states and the run would not read.

        Kedro reads one environment in the place of the other. The run would be of the sample, and nobody would know.
        """
        lost = self._names_stated(self.default_run_env, kind) - self._names_stated(CLUSTER, kind)
        if lost:
            own, cluster = (Path(self.conf_source, env) for env in (self.default_run_env, CLUSTER))
            raise InputError(
                f"{own} states {kind} that a run with --env={CLUSTER} would not read: {', '.join(sorted(lost))}. "
                f"Kedro reads {cluster} in its place: state them in {cluster / kind}.yml as well. Or leave "
                f"--env={CLUSTER} out, and give --params=compute.backend=dask,compute.scheduler=tcp://host:8786"
            )

    def _names_stated(self, env: str, kind: str) -> set[str]:
        folder = str(Path(self.conf_source, env))
        try:
            stated = self.load_and_merge_dir_config(folder, self.config_patterns[kind], kind, set())
        except MissingConfigException:
            return set()
        return set(_dotted(stated))

    def _refuse_unknown_globals(self, names: dict[str, Any]) -> None:
        """Raise InputError that names each global that nothing reads, its file and the nearest name there is."""
        problems = []
        for name in sorted(set(map(str, names)) - set(GLOBALS)):
            near = get_close_matches(name, GLOBALS, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"there are {', '.join(GLOBALS)}"
            problems.append(f"'{name}'{self._file_of_global(name)} is no global of this project, {hint}")
        if problems:
            raise InputError("Globals refused: " + "; ".join(problems))

    def _file_of_global(self, name: str) -> str:
        for env in (self.env or self.default_run_env, self.base_env):
            for pattern in self.config_patterns["globals"]:
                for path in sorted(Path(self.conf_source, env).rglob(pattern)):
                    if name in map(str, yaml.safe_load(path.read_text(encoding="utf-8")) or {}):
                        return f" in {path}"
        return ""


def _dotted(stated: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for name, value in stated.items():
        if isinstance(value, dict) and value:
            yield from _dotted(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}"


def locate_raw_data(names: dict[str, Any]) -> dict[str, Any]:
    """Return the globals with ``raw_root``, where it is not stated, and ``raw_folder``, that of the data source.

    The sample is written by the project, so its folder is always one of ``data_root``. A ``file://`` URL becomes a
    path, so that its files are looked at as closely as others on this disk.
    """
    if not {"data_root", "data_source"} <= names.keys():
        return names
    own = f"{names['data_root']}/01_raw"
    root = str(names.get("raw_root") or own) if names["data_source"] != SAMPLE else own
    if root.startswith(("file://", "local://")):
        from fsspec.implementations.local import LocalFileSystem

        root = str(LocalFileSystem._strip_protocol(root))
    return {**names, "raw_root": root, "raw_folder": f"{root.rstrip('/')}/{names['data_source']}"}


def inherit_sections(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return ``parameters`` with every shared section also under each task, overlaid with the task's block.

    In the same way each variant of a task's comparison holds the task's own sections, overlaid with the variant's.
    """
    inherited = dict(parameters)
    for task in TRAINED_TASKS:
        block = parameters.get(task) or {}
        if not isinstance(block, dict):
            continue  # the validation of the whole tree names it
        sections = INHERITED_SECTIONS if task in TASKS else TRAINED_SECTIONS
        shared = {name: parameters[name] for name in sections if name in parameters}
        inherited[task] = _inherit_variants(_overlay(shared, block))
    return inherited


def _inherit_variants(block: dict[str, Any]) -> dict[str, Any]:
    comparison = block.get("comparison")
    variants = comparison.get("variants") if isinstance(comparison, dict) else None
    if not isinstance(variants, dict):
        return block
    own = {name: block[name] for name in VARIED_SECTIONS if name in block}
    overlaid = {name: _overlay(own, variant or {}) for name, variant in variants.items()}
    return {**block, "comparison": {**comparison, "variants": overlaid}}  # type: ignore[dict-item]


def _overlay(shared: Any, own: Any) -> Any:
    """Return ``own`` with what ``shared`` adds to it, mapping by mapping; OmegaConf.merge took 0.2 s of every start."""
    if not (isinstance(shared, dict) and isinstance(own, dict)):
        return own
    return {**shared, **{key: _overlay(shared.get(key), value) for key, value in own.items()}}
