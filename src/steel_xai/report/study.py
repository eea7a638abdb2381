"""What the report reads: the newest results of a study, without those that newer inputs have made stale."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd
from pandas.errors import EmptyDataError, ParserError

from steel_xai.errors import InputError
from steel_xai.report.elements import Figure, Withheld
from steel_xai.report.pictures import embed

if TYPE_CHECKING:
    from steel_xai.parameters import ComparisonParameters
    from steel_xai.results import Result

SAMPLE = "sample"
OWN = "study_report"
"""The report itself, which reports on all results but itself."""
NOT_OF_THE_MODEL = ("split", "class_distribution", "comparison", "accuracy_against_time")
"""Results of a task that its model has no part in."""
TASKS = {"binary": "Binary task: defect or not", "multi": "Multi-class task: which defect"}
"""The tasks whose results the report knows, and their headings."""


def open_study(
    results: "Mapping[str, Result]",
    *,
    data_source: str,
    class_names: Sequence[str],
    published: "Mapping[str, ComparisonParameters]",
) -> "Study":
    """Look which of the results are stale.

    A result without a record of its making cannot be judged by its content. It is shown, with a word that its
    provenance is unknown, unless it is older than the model that it would be of.
    """
    from steel_xai.lineage.freshness import find_stale

    stale = find_stale(results, without_record=False)
    for name, result in results.items():
        task, _, dataset = name.rpartition(".")
        model = results.get(f"{task}.model")
        if (
            result.record is None
            and dataset not in NOT_OF_THE_MODEL
            and model is not None
            and result.version < model.version
        ):
            stale[name] = f"{model.name} is newer ({result.version} -> {model.version})"
    return Study(results, stale, data_source, tuple(class_names), published)


@dataclass(frozen=True)
class Study:
    """The results of one data source.

    Attributes:
        results: The newest version of each dataset by catalog name.
        stale: The datasets that were made from older inputs than the newest, and why.
        data_source: Whose sheets the results are of.
        class_names: The defect classes.
        published: The variants of each task with the reference study's scores.
    """

    results: "Mapping[str, Result]"
    stale: Mapping[str, str]
    data_source: str
    class_names: tuple[str, ...]
    published: "Mapping[str, ComparisonParameters]"

    @property
    def tasks(self) -> list[str]:
        """Name the tasks that have any result."""
        return [task for task in TASKS if any(name.startswith(f"{task}.") for name in self.results)]

    def path(self, name: str) -> Path | None:
        """Return where the newest version of a dataset lies; None if there is none or it is stale."""
        return self.results[name].path if name in self.results and name not in self.stale else None

    def table(self, name: str) -> pd.DataFrame | None:
        """Read a table; None if there is none, or if it is stale."""
        path = self.path(name)
        if path is None:
            return None
        try:
            return pd.read_csv(path)
        except (ParserError, EmptyDataError, UnicodeDecodeError) as error:
            raise _damaged(path, error) from error

    def record(self, name: str) -> dict[str, Any] | None:
        """Read a JSON object; None if there is none, or if it is stale."""
        path = self.path(name)
        return None if path is None else _read_json(path)

    def model(self, task: str) -> dict[str, Any] | None:
        """Read the description of a task's model; None if there is none, or if it is stale."""
        folder = self.path(f"{task}.model")
        return None if folder is None else _read_json(folder / "model.json")

    def figure(self, name: str, title: str, caption: str) -> list[Figure]:
        """Embed a figure; an empty list if there is none, or if it is stale."""
        path = self.path(name)
        if path is None:
            return []
        uri, width, height = embed(path)
        return [Figure(name, title, caption, uri, width, height)]

    def outputs(self, task: str) -> list[str]:
        """Name what the classes of a task are called; empty if that is not known."""
        metrics = self.record(f"{task}.metrics")
        return list(metrics["test_by_class"]) if metrics else []

    def trained_on(self) -> set[str]:
        """Name the data sources that trained the models of the results shown."""
        models = (self.model(task) for task in self.tasks)
        return {model["data_source"] for model in models if model}

    def data(self, task: str) -> str:
        """Name the data that a task's results are of, and the source of its model where that is another."""
        model = self.model(task)
        trained_on = model["data_source"] if model else self.data_source
        same = trained_on == self.data_source
        return self.data_source if same else f"{self.data_source}, model trained on {trained_on}"

    def withheld(self, names: list[str], command: str | None) -> Withheld | None:
        """Say which of these results are stale, if any."""
        reasons: dict[str, list[str]] = {}
        for name in names:
            if name in self.stale:
                reasons.setdefault(self.stale[name], []).append(name)
        return Withheld(reasons, command) if reasons else None


def _read_json(path: Path) -> dict[str, Any]:
    try:
        record: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise _damaged(path, error) from error
    return record


def _damaged(path: Path, error: Exception) -> InputError:
    return InputError(f"{path} cannot be read ({error}); delete its version's folder, or make it anew.")
