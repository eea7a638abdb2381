"""Project settings, read by Kedro (https://docs.kedro.org/en/stable/configure/configuration_basics/)."""

import os
from pathlib import Path

import yaml
from kedro.framework.project import LOGGING

from steel_xai.compute_hooks import ComputeHooks
from steel_xai.config import TaskConfigLoader
from steel_xai.hooks import InputHooks, ModelHooks, ParameterHooks, RawDataHooks
from steel_xai.lineage_hooks import LineageHooks
from steel_xai.session import StudySession

HOOKS = (ParameterHooks(), RawDataHooks(), InputHooks(), ModelHooks(), LineageHooks(), ComputeHooks())
SESSION_CLASS = StudySession

CONFIG_LOADER_CLASS = TaskConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # without it an environment's file would erase the keys it does not name
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}


def _write_log_file() -> None:
    """Add the log file of conf/logging.yml to Kedro's own logging: it reads that file in the project's root only."""
    project = Path(__file__).parents[2]
    path = project / "conf" / "logging.yml"
    if os.environ.get("KEDRO_LOGGING_CONFIG") or Path("conf/logging.yml").exists() or not path.exists():
        return
    own = yaml.safe_load(path.read_text(encoding="utf-8"))
    files = {
        name: {**handler, "filename": str(project / handler["filename"])}
        for name, handler in own["handlers"].items()
        if "filename" in handler
    }
    LOGGING.configure(
        {
            **LOGGING,
            "formatters": {**LOGGING.get("formatters", {}), **own.get("formatters", {})},
            "handlers": {**LOGGING["handlers"], **files},
            "root": {**LOGGING["root"], "handlers": [*LOGGING["root"]["handlers"], *files]},
        }
    )


_write_log_file()
