"""How long ``kedro run`` of a trivial pipeline takes in this project, beside one in an empty project."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

PROJECT = Path(__file__).parents[2]


def write_bare_project(folder: Path) -> None:
    """Write the least that Kedro takes for a project: one pipeline, no hooks, no configuration."""
    package = folder / "src" / "bare"
    package.mkdir(parents=True)
    for environment in ("base", "local"):
        (folder / "conf" / environment).mkdir(parents=True)
    (folder / "conf" / "base" / "parameters.yml").write_text("seed: 1\n")
    (folder / "conf" / "base" / "catalog.yml").write_text("{}\n")
    (folder / "pyproject.toml").write_text(
        '[tool.kedro]\npackage_name = "bare"\nproject_name = "bare"\nkedro_init_version = "1.7.0"\n'
    )
    (package / "__init__.py").touch()
    (package / "settings.py").touch()
    (package / "pipeline_registry.py").write_text(
        "from kedro.pipeline import Pipeline\n\ndef register_pipelines():\n    return {'__default__': Pipeline([])}\n"
    )


_RUN = """
import sys
from pathlib import Path
from kedro.framework.cli.cli import main
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node, Pipeline
bootstrap_project(Path.cwd())
import {package}.pipeline_registry as registry
trivial = Pipeline([Node(lambda seed: None, "params:seed", None, name="trivial")])
registry.register_pipelines = lambda: {{"__default__": trivial}}
sys.argv = ["kedro", "run"]
main()
"""
"""The command, with one pipeline of one node that does nothing in the place of all others."""


def ways(folder: Path) -> list[Callable[[], object]]:
    """Ours and the bare project's ``kedro run``: parameters are validated, the catalog is made, hooks look, it runs."""
    write_bare_project(folder)

    def run(project: Path, package: str) -> None:
        command = [sys.executable, "-c", _RUN.format(package=package)]
        subprocess.run(command, cwd=project, check=True, capture_output=True)

    return [lambda: run(PROJECT, "steel_xai"), lambda: run(folder, "bare")]
