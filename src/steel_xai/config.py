"""How the project reads its configuration: one rule on top of Kedro's loader, task blocks inherit."""

from typing import Any

from kedro.config import OmegaConfigLoader
from omegaconf import OmegaConf

TASKS = ("binary",)
"""The classification tasks; each is a Kedro namespace and may have a block of its own in the parameters."""

INHERITED_SECTIONS = ("splits", "training", "evaluation")
"""Sections that every task shares unless its block says otherwise."""


class TaskConfigLoader(OmegaConfigLoader):
    """Kedro's loader; ``binary.training`` holds the bare ``training`` section overlaid with the task's own keys.

    So a task block states only what differs, ``--params=training.epochs=3`` reaches every task and
    ``--params=binary.training.epochs=3`` one.
    """

    def __getitem__(self, key: str) -> dict[str, Any]:
        """Return the merged configuration of one kind (``catalog``, ``parameters``, ``globals``...)."""
        config = super().__getitem__(key)
        return inherit_sections(config) if key == "parameters" else config


def inherit_sections(parameters: dict[str, Any]) -> dict[str, Any]:
    """Return ``parameters`` with every shared section also under each task, overlaid with the task's block."""
    inherited = dict(parameters)
    for task in TASKS:
        block = parameters.get(task) or {}
        if not isinstance(block, dict):
            continue  # the validation of the whole tree names it
        shared = {name: parameters[name] for name in INHERITED_SECTIONS if name in parameters}
        inherited[task] = OmegaConf.to_container(OmegaConf.merge(shared, block))
    return inherited
