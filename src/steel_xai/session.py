"""The session of a run: a stage after training serves the tasks that were trained, and a run may be of stale nodes."""

import inspect
import logging
from typing import Any

from kedro.framework.session import KedroSession

from steel_xai.hooks import TasksWithoutModel, model_of, way_to_make

logger = logging.getLogger(__name__)


class StudySession(KedroSession):
    """Kedro's session, which runs a pipeline without the tasks that have no model yet, and if asked only what is stale.

    No hook of Kedro may change what is run. So the hook that checks a run's inputs refuses it, with the real catalog
    and after all of the user's filters, and tells what could be run; the session then runs that. In the same way a
    hook tells which nodes are stale.
    """

    def run(self, *args: Any, only_stale: bool = False, **options: Any) -> dict[str, Any]:
        """Run pipelines as Kedro does; where only some of their tasks have a model, the nodes of those alone.

        ``only_stale`` (on the command line ``--only-stale``) leaves out the nodes whose results are fresh.
        """
        arguments = inspect.signature(super().run).bind(*args, **options).arguments
        if only_stale or self.store.get("cli", {}).get("params", {}).get("only_stale"):
            return self._run_stale(arguments)
        return self._run_trained(arguments)

    def _run_stale(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from steel_xai.lineage_hooks import OnlyStaleHooks, StaleNodes

        self._hook_manager.register(OnlyStaleHooks())
        try:
            return self._run_trained(arguments)
        except StaleNodes as error:
            nodes = error.nodes
        return self._run_trained({**arguments, "node_names": nodes}) if nodes else {}

    def _run_trained(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return super().run(**arguments)
        except TasksWithoutModel as error:
            tasks, runnable = error.tasks, error.runnable
        for task in tasks:
            logger.warning(
                "The %s task is left out, because it has no model: %s trains it.", task, way_to_make(model_of(task))
            )
        return super().run(**{**arguments, "node_names": runnable})
