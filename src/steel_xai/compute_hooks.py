"""Where a run's maps over sheets are worked on."""

from contextlib import ExitStack
from typing import Any

from kedro.framework.context import KedroContext
from kedro.framework.hooks import hook_impl


class ComputeHooks:
    """Connect to the cluster that ``compute`` names for the length of a run."""

    def __init__(self) -> None:
        self._connection = ExitStack()

    @hook_impl
    def after_context_created(self, context: KedroContext) -> None:
        """Remember what this run asks for."""
        self._compute: dict[str, Any] = context.config_loader["parameters"].get("compute", {})

    # After the hooks that may refuse the run.
    @hook_impl(trylast=True)
    def before_pipeline_run(self) -> None:
        """Connect."""
        if self._compute.get("backend") == "dask":
            from steel_xai.cluster import on_cluster

            self._connection.enter_context(on_cluster(self._compute["scheduler"]))

    @hook_impl
    def after_pipeline_run(self) -> None:
        """Let go of the cluster; its workers stay."""
        self._connection.close()

    @hook_impl
    def on_pipeline_error(self) -> None:
        """Let go of the cluster; its workers stay."""
        self._connection.close()
