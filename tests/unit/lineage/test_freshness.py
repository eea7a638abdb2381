import json
from dataclasses import replace

import pytest
from pydantic import JsonValue

from steel_xai.lineage.content import content_of, size_and_time
from steel_xai.lineage.freshness import BAD_RECORD, CHANGED_FILE, NO_RECORD, Recipe, find_stale, judge
from steel_xai.lineage.records import RECORD, InputState, Record, read_record, write_record
from steel_xai.results import newest_result

FIRST, SECOND = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"
GRAPH = {"sheets": ["raw"], "split": ["sheets"], "model": ["sheets", "split"], "figure": ["model"], "notes": []}


class Study:
    """Results whose content is a text, made in the order of ``GRAPH`` from each other."""

    def __init__(self, folder):
        self.folder = folder
        self.raw = "raw sheets"
        self.parameters: dict[str, dict[str, JsonValue]] = {name: {f"{name}.size": 1} for name in GRAPH}
        self.sources = {name: {f"toy.{name}": "a"} for name in GRAPH}

    def make(self, *names, version=FIRST, text="", record=True):
        for name in names:
            path = self.folder / f"{name}.txt" / version / f"{name}.txt"
            path.parent.mkdir(parents=True)
            path.write_text(text or name)
            if record:
                write_record(path.parent, self.record(name, path, version))

    def record(self, name, path, version):
        results = self.results()
        states = {
            source: InputState(version=results[source].version, content=content_of(results[source].path))
            if source in results
            else InputState(version=None, content=self.raw)
            for source in GRAPH[name]
        }
        size, modified_ns = size_and_time(path)
        return Record(
            dataset=name,
            version=version,
            node=f"make_{name}",
            pipeline="toy",
            inputs=states,
            parameters=self.parameters[name],
            code="",
            sources=self.sources[name],
            content=content_of(path),
            size=size,
            modified_ns=modified_ns,
            made_at="2026-01-01T00:00:00+00:00",
            seconds=0.5,
            package_version="0.1.0",
            git_commit=None,
        )

    def results(self):
        found = {name: newest_result(name, self.folder / f"{name}.txt") for name in GRAPH}
        return {name: result for name, result in found.items() if result}

    def verdicts(self):
        recipes = {
            name: Recipe(tuple(inputs), self.parameters[name], self.sources[name]) for name, inputs in GRAPH.items()
        }
        return judge(recipes, self.results(), lambda _: self.raw)

    def not_fresh(self):
        return {name: "; ".join(verdict.reasons) for name, verdict in self.verdicts().items() if verdict.reasons}


@pytest.fixture
def study(tmp_path):
    return Study(tmp_path)


@pytest.fixture
def made(study):
    study.make(*GRAPH)
    return study


def test_what_was_just_made_is_fresh(made):
    assert {verdict.state for verdict in made.verdicts().values()} == {"fresh"}
    assert find_stale(made.results()) == {}


def test_a_parameter_makes_exactly_what_uses_it_and_what_follows_stale(made):
    made.parameters["split"] = {"split.size": 2, "split.seed": 0}
    assert made.not_fresh() == {
        "split": "split.seed: new, 0; split.size: 1 -> 2",
        "model": "made from what is not fresh: split",
        "figure": "made from what is not fresh: model",
    }


def test_code_makes_exactly_what_is_made_by_it_and_what_follows_stale(made):
    made.sources["model"] = {"toy.model": "b", "toy.new": "c"}
    assert made.not_fresh() == {
        "model": "code: toy.model, toy.new",
        "figure": "made from what is not fresh: model",
    }


def test_raw_data_makes_all_that_follows_stale_and_the_nearest_cause_is_named(made):
    made.raw = "other raw sheets"
    assert made.not_fresh() == {
        "sheets": "raw has changed",
        "split": "made from what is not fresh: sheets",
        "model": "made from what is not fresh: split",
        "figure": "made from what is not fresh: model",
    }


def test_a_new_version_of_the_same_content_leaves_all_fresh(made):
    made.make("sheets", "split", version=SECOND)
    assert made.not_fresh() == {}
    assert find_stale(made.results()) == {}


def test_a_new_version_of_other_content_makes_what_follows_stale(made):
    made.make("split", version=SECOND, text="another split")
    changed = f"split has changed ({FIRST} -> {SECOND})"
    assert made.not_fresh() == {"model": changed, "figure": "made from what is not fresh: model"}
    assert find_stale(made.results()) == {"model": changed, "figure": f"model is stale: {changed}"}


def test_missing_results_are_told_from_stale_ones(study):
    study.make("sheets", "split")
    assert {name: verdict.state for name, verdict in study.verdicts().items()} == {
        "sheets": "fresh",
        "split": "fresh",
        "model": "missing",
        "figure": "missing",
        "notes": "missing",
    }


def test_an_interrupted_training_is_stale_with_what_follows_but_belongs_to_its_inputs(made):
    result = made.results()["model"]
    write_record(result.folder, result.record.model_copy(update={"unfinished": "interrupted"}))
    assert made.not_fresh() == {"model": "interrupted", "figure": "made from what is not fresh: model"}
    assert find_stale(made.results()) == {}


def test_an_input_that_was_deleted_makes_what_follows_stale(made):
    (made.folder / "split.txt" / FIRST / "split.txt").unlink()
    assert made.not_fresh()["model"] == "made from what is not fresh: split"
    assert find_stale(made.results()) == {"model": "split was deleted", "figure": "model is stale: split was deleted"}


def test_a_file_that_was_changed_by_hand_is_stale_and_so_is_what_was_made_from_it(made):
    path = made.results()["split"].path
    path.write_text("cut off")
    assert made.not_fresh()["split"] == CHANGED_FILE
    assert find_stale(made.results())["split"] == CHANGED_FILE
    assert find_stale(made.results())["model"].startswith("split has changed")


def test_a_file_that_was_only_touched_or_copied_is_fresh(made):
    path = made.results()["split"].path
    path.write_text(path.read_text())
    assert made.not_fresh() == {}


def test_results_without_a_record_are_stale_and_say_so(study):
    study.make(*GRAPH, record=False)
    assert set(study.not_fresh().values()) == {NO_RECORD}
    assert set(find_stale(study.results()).values()) == {NO_RECORD}


@pytest.mark.parametrize("text", ["", "{", "[]", '{"dataset": "split"}', "\x00\xff", '{"seconds": "soon"}'])
def test_a_damaged_or_foreign_record_is_no_record(made, text):
    folder = made.results()["split"].folder
    (folder / RECORD).write_text(text)
    assert read_record(folder) is None
    assert made.not_fresh()["split"] == BAD_RECORD
    assert find_stale(made.results())["split"] == BAD_RECORD


def test_an_input_that_is_new_or_no_longer_used_makes_a_result_stale(made, monkeypatch):
    monkeypatch.setitem(GRAPH, "figure", ["split"])
    assert made.not_fresh() == {"figure": "split is a new input; model is no longer an input"}


def test_records_that_go_in_circles_come_to_an_end(made):
    results = made.results()
    figure = InputState(version=FIRST, content=content_of(results["figure"].path))
    looped = results["sheets"].record.model_copy(update={"inputs": {"figure": figure}})
    assert find_stale({**results, "sheets": replace(results["sheets"], record=looped)}) == {}


def test_a_record_is_read_as_it_was_written_and_leaves_nothing_beside_it(made):
    result = made.results()["model"]
    infinite = result.record.model_copy(update={"parameters": {"a.b": [1, 2.5, None, "x"], "c": float("inf")}})
    write_record(result.folder, infinite)
    assert read_record(result.folder) == infinite
    assert sorted(path.name for path in result.folder.iterdir()) == ["lineage.json", "model.txt"]
    assert json.loads((result.folder / RECORD).read_text())["dataset"] == "model"
