"""Project settings, read by Kedro (https://docs.kedro.org/en/stable/configure/configuration_basics/)."""

from steel_xai.compute_hooks import ComputeHooks
from steel_xai.config import TaskConfigLoader
from steel_xai.hooks import InputHooks, ParameterHooks, RawDataHooks
from steel_xai.lineage_hooks import LineageHooks
from steel_xai.session import StudySession

HOOKS = (ParameterHooks(), RawDataHooks(), InputHooks(), LineageHooks(), ComputeHooks())
SESSION_CLASS = StudySession

CONFIG_LOADER_CLASS = TaskConfigLoader
CONFIG_LOADER_ARGS = {
    "base_env": "base",
    "default_run_env": "local",
    # without it an environment's file would erase the keys it does not name
    "merge_strategy": {"parameters": "soft", "globals": "soft"},
}
