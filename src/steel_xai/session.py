"""The session of a run: what lacks its inputs is left out with a word on it, and a run may be of stale nodes."""

import inspect
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import Any, cast

from kedro.framework.session import KedroSession
from kedro.io.core import generate_timestamp

from steel_xai.hooks import PartlyRunnable, ServedByOtherTask
from steel_xai.locks import name_of_its_own
from steel_xai.raw_files import is_url

logger = logging.getLogger(__name__)

REPORT = "report"
"""Name of the pipeline and tag of its nodes in longer ones."""

BEGUN = ".runs"
"""Folder within ``data_root`` that holds the versions of the runs at work."""


class StudySession(KedroSession):
    """Kedro's session, which runs a pipeline without what cannot be run, and if asked only what is stale.

    Tasks without a model cannot be looked at, and labels without masks give explanations nothing to be scored against.
    No hook of Kedro may change what is run. So the hook that checks a run's inputs refuses it, with the real catalog
    and after all of the user's filters, and tells what could be run; the session then runs that.
    In the same way a hook tells which nodes are stale.
    """

    _report_is_due = False

    def run(self, *args: Any, only_stale: bool = False, **options: Any) -> dict[str, Any]:
        """Run pipelines as Kedro does; where some nodes lack what they need, the others alone.

        ``only_stale`` (on the command line ``--only-stale``) leaves out the nodes whose results are fresh.
        """
        arguments = inspect.signature(super().run).bind(*args, **options).arguments
        only_stale = only_stale or self.store.get("cli", {}).get("params", {}).get("only_stale", False)
        with self._version_of_its_own():
            results = self._run_stale(arguments) if only_stale else self._run_possible(arguments)
        return results | self._run_report(only_stale) if self._report_is_due else results

    @contextmanager
    def _version_of_its_own(self) -> Iterator[None]:
        """Take another version if a run at work in the same data folder has this one, named by the same millisecond.

        Two runs of one version would mix their results, until one found the other's file in its way.
        """
        names = self._get_config_loader()["globals"]
        if "data_root" not in names or is_url(names["data_root"]):  # the latter is refused once parameters are read
            yield
            return
        moments = chain([self.session_id], iter(generate_timestamp, None))
        with name_of_its_own(Path(self._project_path, names["data_root"], BEGUN), moments) as version:
            self.session_id = self._store["session_id"] = version
            yield

    def _run_stale(self, arguments: dict[str, Any]) -> dict[str, Any]:
        from steel_xai.lineage_hooks import OnlyStaleHooks, StaleNodes

        self._hook_manager.register(OnlyStaleHooks())
        try:
            return self._run_possible(arguments)
        except StaleNodes as error:
            nodes = error.nodes
        return self._run_possible({**arguments, "node_names": nodes}) if nodes else {}

    def _run_possible(self, arguments: dict[str, Any]) -> dict[str, Any]:
        while True:  # each turn leaves nodes out
            try:
                return super().run(**arguments)
            except PartlyRunnable as error:
                reasons, runnable = error.reasons, error.runnable
                self._report_is_due |= REPORT in error.lost_tags
            except ServedByOtherTask as error:
                logger.warning(error.reason)
                arguments = {**arguments, "pipeline_names": [error.pipeline_name]}
                continue
            for reason in reasons:
                logger.warning(reason)
            arguments = {**arguments, "node_names": runnable}

    def _run_report(self, only_stale: bool) -> dict[str, Any]:
        """Write the report of what there is, in a run of its own: the one of a longer run waits for all of it."""
        session = self.create(
            self._project_path,
            env=self.store.get("env"),
            runtime_params=self.store.get("runtime_params"),
            conf_source=self._conf_source,
        )
        with session:
            return cast(StudySession, session).run(pipeline_names=[REPORT], only_stale=only_stale)
