"""The session of a run: a stage after training serves the tasks that were trained."""

import inspect
import logging
from typing import Any

from kedro.framework.session import KedroSession

from steel_xai.hooks import TasksWithoutModel, model_of, way_to_make

logger = logging.getLogger(__name__)


class StudySession(KedroSession):
    """Kedro's session, which runs a pipeline without the tasks that have no model yet.

    No hook of Kedro may change what is run. So the hook that checks a run's inputs refuses it, with the real catalog
    and after all of the user's filters, and tells what could be run; the session then runs that.
    """

    def run(self, *args: Any, **options: Any) -> dict[str, Any]:
        """Run pipelines as Kedro does; where only some of their tasks have a model, the nodes of those alone."""
        try:
            return super().run(*args, **options)
        except TasksWithoutModel as error:
            tasks, runnable = error.tasks, error.runnable
        for task in tasks:
            logger.warning(
                "The %s task is left out, because it has no model: %s trains it.", task, way_to_make(model_of(task))
            )
        arguments = inspect.signature(super().run).bind(*args, **options).arguments
        return super().run(**{**arguments, "node_names": runnable})
