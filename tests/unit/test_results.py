from pathlib import Path

import pytest
from kedro.framework.startup import bootstrap_project

from steel_xai.config import TASKS, TaskConfigLoader
from steel_xai.results import dataset_folders, latest_results, newest_result, versions

PROJECT = Path(__file__).parents[2]
OLD, NEW = "2026-01-01T00.00.00.000Z", "2026-01-02T00.00.00.000Z"


def make(root, place, version):
    path = root / place / version / Path(place).name
    path.parent.mkdir(parents=True)
    path.write_text("x")
    return path


def test_the_newest_version_of_every_dataset_is_found_in_all_layers(tmp_path):
    for version in (NEW, OLD):
        sheets = make(tmp_path, "03_primary/mill/sheets.npy", version)
    metrics = make(tmp_path, "08_reporting/mill/binary/metrics.json", NEW)
    report = make(tmp_path, "08_reporting/mill/study_report.html", OLD)
    model = make(tmp_path, "06_models/mill/multi/model", OLD)
    make(tmp_path, "08_reporting/other/binary/metrics.json", NEW)
    make(tmp_path, "01_raw/mill/train.csv", NEW)
    found = latest_results(tmp_path, "mill")
    assert {name: result.path for name, result in found.items()} == {
        "sheets": sheets.parents[1] / NEW / "sheets.npy",
        "binary.metrics": metrics,
        "study_report": report,
        "multi.model": model,
    }
    assert found["sheets"].version == NEW
    assert found["sheets"].record is None


def test_what_is_no_version_is_not_taken_for_one(tmp_path):
    make(tmp_path, "03_primary/mill/sheets.npy", OLD)
    (tmp_path / "03_primary/mill/sheets.npy" / NEW).mkdir()  # killed before the file had its name
    (tmp_path / "03_primary/mill/sheets.npy" / ".hidden").mkdir()
    (tmp_path / "03_primary/mill/.work/staged-1").mkdir(parents=True)
    (tmp_path / "03_primary/mill/notes.txt").touch()
    assert versions(tmp_path / "03_primary/mill/sheets.npy") == [OLD]
    assert dataset_folders(tmp_path, "mill").keys() == {"sheets"}
    assert dataset_folders(tmp_path, "nowhere") == {}


def test_models_of_another_source_are_found_where_they_look_at_these_sheets(tmp_path):
    make(tmp_path, "03_primary/mill/sheets.npy", OLD)
    make(tmp_path, "06_models/sample/binary/model", NEW)
    make(tmp_path, "06_models/sample/binary/history.csv", NEW)
    assert latest_results(tmp_path, "mill", "sample").keys() == {"sheets", "binary.model"}


def test_a_version_that_is_asked_for_is_found_or_missing(tmp_path):
    for version in (OLD, NEW):
        make(tmp_path, "table.csv", version)
    asked_for = newest_result("table", tmp_path / "table.csv", OLD)
    assert asked_for is not None
    assert asked_for.version == OLD
    assert newest_result("table", tmp_path / "table.csv", "2020") is None
    assert newest_result("other", tmp_path / "other.csv") is None


@pytest.fixture(scope="module")
def catalog():
    bootstrap_project(PROJECT)
    loader = TaskConfigLoader(str(PROJECT / "conf"), env="base", base_env="base", default_run_env="base")
    return loader["catalog"]


def test_every_result_of_the_catalog_lies_where_its_name_says(catalog):
    """So that a scan of the disk gives the catalog's names, for each task."""
    checked = 0
    for pattern, entry in catalog.items():
        if pattern.startswith("_") or not entry.get("versioned"):
            continue
        for task in TASKS if "{task}" in pattern else [""]:
            name = pattern.replace("{task}", task)
            root, layer, source, *inner = Path(entry["filepath"].replace("{task}", task)).parts
            assert (root, source) == ("data", "sample"), pattern
            assert layer[:2] in ("02", "03", "04", "05", "06", "07", "08"), pattern
            assert ".".join([*inner[:-1], Path(inner[-1]).stem]) == name, pattern
            checked += 1
    assert checked > 100
