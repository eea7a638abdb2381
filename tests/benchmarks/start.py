"""How long a kedro command of this project takes to start, beside one of an empty project."""

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
    (folder / "conf" / "base" / "parameters.yml").write_text("value: 1\n")
    (folder / "pyproject.toml").write_text(
        '[tool.kedro]\npackage_name = "bare"\nproject_name = "bare"\nkedro_init_version = "1.7.0"\n'
    )
    (package / "__init__.py").touch()
    (package / "settings.py").touch()
    (package / "pipeline_registry.py").write_text(
        "from kedro.pipeline import Pipeline\n\ndef register_pipelines():\n    return {'__default__': Pipeline([])}\n"
    )


def ways(folder: Path) -> list[Callable[[], object]]:
    """Ours and the bare project's ``kedro registry list``."""
    write_bare_project(folder)

    def listing(project: Path) -> None:
        command = [sys.executable, "-m", "kedro", "registry", "list"]
        subprocess.run(command, cwd=project, check=True, capture_output=True)

    return [lambda: listing(PROJECT), lambda: listing(folder)]
