import json
import logging
import shutil

import pytest
from click.testing import CliRunner
from kedro.io import DatasetError

from steel_xai.cli import cli
from steel_xai.epochs import train_epoch
from steel_xai.errors import InputError
from steel_xai.lineage.freshness import find_stale
from steel_xai.lineage.records import RECORD, read_record
from steel_xai.results import latest_results

RESULTS = ["sheets", "masks", "quarantine", "sheet_index"]
OF_TASK = ["split", "class_distribution"]
ALL = {*RESULTS, *(f"{task}.{name}" for task in ("binary", "multi") for name in OF_TASK)}


@pytest.fixture(scope="module")
def split_folder(tmp_path_factory):
    """A project after ``kedro run --pipeline=splits``."""
    from .conftest import Project

    folder = tmp_path_factory.mktemp("split")
    Project(folder).run("splits")
    return folder


@pytest.fixture
def split(split_folder, make_project, tmp_path):
    shutil.copytree(split_folder / "data", tmp_path / "data")
    return make_project()


@pytest.fixture
def ran(caplog):
    caplog.set_level(logging.INFO)

    def nodes():
        messages = [record.getMessage() for record in caplog.records]
        return {
            message.removeprefix("Completed node: ") for message in messages if message.startswith("Completed node")
        }

    return nodes


def kedro(project, *arguments):
    return CliRunner().invoke(
        cli, [*arguments, "--env=test", f"--conf-source={project.conf}"], prog_name="kedro", catch_exceptions=False
    )


def status(project, *arguments):
    result = kedro(project, "status", "--pipeline=splits", "--json", *arguments)
    rows = json.loads(result.stdout[result.stdout.index("{") :])["results"]
    states = {row["dataset"]: (row["state"], "; ".join(row["reasons"])) for row in rows}
    assert result.exit_code == (0 if all(state == "fresh" for state, _ in states.values()) else 1)
    return states


def not_fresh(project, *arguments):
    return {name: why for name, (state, why) in status(project, *arguments).items() if state != "fresh"}


def versions(project):
    return {name: result.version for name, result in latest_results(project.data, "sample").items()}


def record_of(project, name):
    record = latest_results(project.data, "sample")[name].record
    assert record is not None
    return record


def test_before_anything_was_made_all_is_missing(project):
    assert {state for state, _ in status(project).values()} == {"missing"}


def test_after_a_run_all_is_fresh_in_the_order_in_which_it_is_made(split):
    states = status(split)
    assert list(states)[: len(RESULTS)] == RESULTS
    assert set(states) == ALL
    assert {state for state, _ in states.values()} == {"fresh"}
    assert find_stale(latest_results(split.data, "sample")) == {}


def test_the_table_is_aligned_plain_text_with_a_summary(split):
    shown = kedro(split, "status", "--pipeline=splits").stdout.splitlines()
    lines = shown[shown.index(next(line for line in shown if line.startswith("dataset"))) :]
    assert len({line.index(" 20") for line in lines[1:9]}) == 1
    assert lines[-1] == "8 fresh, 0 stale, 0 missing (sample)."


def test_records_say_what_a_result_was_made_from(split):
    record, index = record_of(split, "multi.split"), record_of(split, "sheet_index")
    assert record.dataset == "multi.split"
    assert record.node == "multi.copy_rare_classes"
    assert record.pipeline == "splits"
    # examples and sheet_split are kept in memory, so that what they are made from counts
    assert set(record.inputs) == {"sheet_index"}
    assert record.inputs["sheet_index"].version == index.version
    assert record.inputs["sheet_index"].content == index.content
    assert record.parameters["seed"] == 0
    assert record.parameters["multi.splits.labels"] == "single_class"
    assert "steel_xai.sheets.splits" in record.sources
    assert not [name for name in record.sources if name.startswith("steel_xai.plots")]
    assert {"raw_sheets", "raw_annotations", "sheets"} <= set(index.inputs)
    assert "processing_folder" not in index.inputs
    assert index.inputs["raw_sheets"].version is None
    assert not [name for name in index.parameters if name.endswith("n_jobs")]


def test_parameters_concern_what_uses_them_and_what_follows(split):
    assert not_fresh(split, "--params=data_processing.n_jobs=1,training.epochs=7") == {}
    assert not_fresh(split, "--params=multi.splits.augmentation=none") == {
        "multi.split": "multi.splits.augmentation: random -> none",
        "multi.class_distribution": "made from what is not fresh: multi.split",
    }


def test_raw_data_concerns_everything(split):
    raw = split.data / "01_raw" / "sample" / "train.csv"
    raw.write_text("".join(raw.read_text().splitlines(keepends=True)[:-1]))
    stale = not_fresh(split)
    assert set(stale) == ALL
    assert "raw_annotations has changed" in stale["sheets"]
    assert stale["binary.split"] == "made from what is not fresh: sheet_index"


def test_making_the_same_again_leaves_what_follows_fresh(split):
    before = versions(split)
    split.run("data_processing")
    assert versions(split)["sheets"] != before["sheets"]
    assert not_fresh(split) == {}


def test_a_report_is_as_fresh_as_what_it_shows_whichever_pipeline_has_written_it(split):
    split.run("report")
    assert set(record_of(split, "study_report").inputs) == ALL
    for pipeline in ("report", "__default__"):
        assert status(split, f"--pipeline={pipeline}")["study_report"] == ("fresh", "")
    kedro(split, "run", "--pipeline=splits", "--params=multi.splits.augmentation=none")
    assert "multi.split has changed" in not_fresh(split, "--pipeline=report")["study_report"]


def test_what_others_have_to_make_first_is_advised_first(split):
    split.run("report")
    changed = "--params=multi.splits.augmentation=none"
    found = kedro(split, "status", "--pipeline=report", "--json", changed).stdout
    commands = json.loads(found[found.index("{") :])["commands"]
    assert commands == [f"kedro run --only-stale --pipeline={name}" for name in ("splits", "report")]
    assert (
        f"`{commands[0]}` and then `{commands[1]}` make what is not fresh"
        in kedro(split, "status", "--pipeline=report", changed).stdout
    )
    for command in commands:
        kedro(split, *command.split()[1:], changed)
    assert not_fresh(split, "--pipeline=report", changed) == {}


def test_with_nothing_stale_nothing_runs(split, ran, caplog):
    before = versions(split)
    result = kedro(split, "run", "--pipeline=splits", "--only-stale")
    assert result.exit_code == 0
    assert ran() == set()
    assert versions(split) == before
    assert "Nothing to run: all 8 results are fresh." in caplog.text


def test_only_what_is_stale_runs_with_what_it_needs_in_memory_and_what_follows(split, ran, caplog):
    before = versions(split)
    result = kedro(split, "run", "--pipeline=splits", "--only-stale", "--params=multi.splits.augmentation=none")
    assert result.exit_code == 0
    nodes = ("label_examples", "split_examples", "copy_rare_classes", "plot_class_distribution")
    assert ran() == {f"multi.{node}" for node in nodes}
    changed = {name for name, version in versions(split).items() if version != before[name]}
    assert changed == {"multi.split", "multi.class_distribution"}
    assert "multi.split: stale (multi.splits.augmentation: random -> none)" in caplog.text
    assert "4 of 11 nodes run; 7 are skipped" in caplog.text
    assert not_fresh(split, "--params=multi.splits.augmentation=none") == {}


def test_only_what_is_missing_runs(split, ran):
    shutil.rmtree(split.data / "08_reporting" / "sample" / "binary" / "class_distribution.png")
    split.run("splits", only_stale=True)
    assert ran() == {"binary.plot_class_distribution"}


def test_a_table_that_is_made_from_memory_is_made_with_its_tensors(split, ran):
    """Else index and tensors would be of different versions; the splits, whose input comes out the same, stay."""
    (split.data / "03_primary" / "sample" / "sheet_index.csv" / versions(split)["sheet_index"] / RECORD).unlink()
    split.run("data_processing", only_stale=True)
    assert ran() == {"parse_annotations", "process_raw_sheets", "index_sheets"}
    after = versions(split)
    assert after["sheets"] == after["masks"] == after["sheet_index"] > after["binary.split"]
    assert not_fresh(split) == {}


def test_the_users_filters_stay(split, ran):
    split.run("splits", only_stale=True, namespaces=["binary"], load_versions={})
    assert ran() == set()
    with split.session(seed=1) as session:
        session.run(pipeline_names=["splits"], namespaces=["binary"], only_stale=True)
    assert ran() == {
        f"binary.{node}"
        for node in ("label_examples", "split_examples", "copy_rare_classes", "plot_class_distribution")
    }


def test_an_interrupted_training_is_stale_and_gone_on_with(split, ran, monkeypatch):
    def interrupted(*arguments):
        if arguments[3] == 2:
            raise KeyboardInterrupt
        return train_epoch(*arguments)

    options = {"node_names": ["binary.train_model", "binary.plot_training_curves"]}
    with monkeypatch.context() as patch:
        patch.setattr("steel_xai.loop.train_epoch", interrupted)
        split.run("binary_model", **options)
    stale = not_fresh(split, "--pipeline=binary_model")
    reason = "its training was interrupted after epoch 1; run it again to go on"
    assert (stale["binary.model"], stale["binary.history"]) == (reason, reason)
    assert stale["binary.training_curves"].startswith("made from what is not fresh: binary.")
    split.run("binary_model", only_stale=True, **options)
    assert "binary.train_model" in ran()
    assert len(split.load("binary.history")) == 2
    assert not {"binary.model", "binary.history"} & not_fresh(split, "--pipeline=binary_model").keys()


def test_what_others_make_is_named_if_it_is_stale(split, caplog):
    record = split.data / "03_primary" / "sample" / "sheet_index.csv" / versions(split)["sheet_index"] / RECORD
    record.write_text("{")
    caplog.set_level(logging.INFO)
    split.run("splits", only_stale=True, namespaces=["binary"])
    assert f"sheet_index, which this run reads but does not make, is stale: its record ({RECORD}) cannot be read" in (
        caplog.text
    )
    assert "Nothing to run" in caplog.text


def test_stages_after_training_are_left_out_for_tasks_without_a_model(project):
    model = project.data / "06_models" / "sample" / "binary" / "model" / "2026-01-01T00.00.00.000Z" / "model"
    model.mkdir(parents=True)
    result = kedro(project, "status", "--pipeline=evaluation", "--json")
    found = json.loads(result.stdout[result.stdout.index("{") :])
    assert {row["dataset"].partition(".")[0] for row in found["results"]} == {"binary"}
    assert any("multi task is left out" in note and "--pipeline=multi_model" in note for note in found["notes"])


def test_a_run_of_what_is_stale_leaves_out_tasks_without_a_model_too(split, caplog):
    model = split.data / "06_models" / "sample" / "binary" / "model" / "2026-01-01T00.00.00.000Z" / "model"
    model.mkdir(parents=True)
    (model / "model.json").write_text("{}")
    caplog.set_level(logging.INFO)
    with pytest.raises(DatasetError, match="is no part of a readable model"):
        split.run("evaluation", only_stale=True, node_names=["binary.predict_sheets", "multi.predict_sheets"])
    assert "The multi task is left out" in caplog.text
    assert "binary.predictions: missing" in caplog.text
    assert "multi.predictions" not in caplog.text
    assert "1 of 1 nodes run" in caplog.text


def test_a_run_is_refused_whose_results_would_not_be_the_newest(split):
    """The clock was set back: Kedro would save one version and load the other."""
    folder = split.data / "05_model_input" / "sample" / "binary" / "split.csv"
    shutil.copytree(folder / versions(split)["binary.split"], folder / "2999-01-01T00.00.00.000Z")
    before = versions(split)
    with pytest.raises(InputError, match=r"binary\.split as version 2.*2999-01-01T00\.00\.00\.000Z.*move .*split\.csv"):
        split.run("splits")
    assert versions(split) == before


def test_a_record_that_cannot_be_written_costs_a_warning_and_not_the_result(split, monkeypatch, caplog):
    def full(folder, record):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("steel_xai.lineage_hooks.write_record", full)
    split.run("splits", node_names=["index_sheets", "parse_annotations", "process_raw_sheets"])
    assert "No record of what sheet_index was made from could be written" in caplog.text
    assert latest_results(split.data, "sample")["sheet_index"].record is None


def test_a_pipeline_that_is_not_there_is_one_line_and_exit_code_2(project):
    result = kedro(project, "status", "--pipeline=nothing")
    assert result.exit_code == 2
    assert "There is no pipeline 'nothing'" in result.output


def test_prune_asks_then_removes_old_versions_and_what_is_left_is_fresh(split):
    split.run("splits")
    old = set(split.data.rglob(RECORD)) - {
        result.folder / RECORD for result in latest_results(split.data, "sample").values()
    }
    assert len(old) == len(ALL)
    for arguments, answer in ((["--dry-run"], None), ([], "n\n")):
        arguments = ["prune", "--keep=1", *arguments, "--env=test", f"--conf-source={split.conf}"]
        shown = CliRunner().invoke(cli, arguments, input=answer)
        assert "8 versions to remove" in shown.output
        assert all(path.exists() for path in old)
    shown = kedro(split, "prune", "--keep=1", "--yes")
    assert "Freed" in shown.output
    assert not any(path.exists() for path in old)
    assert not_fresh(split) == {}
    assert "Nothing to remove" in kedro(split, "prune", "--keep=1").output


def test_records_stay_beside_their_version_and_are_no_version_to_kedro(split):
    for result in latest_results(split.data, "sample").values():
        record = record_of(split, result.name)
        assert read_record(result.folder) == record
        assert record.version == result.version
        assert sorted(path.name for path in result.folder.iterdir()) == sorted([RECORD, result.path.name])
    assert len(split.load("sheet_index")) > 0
