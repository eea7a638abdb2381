import logging
from typing import Any

import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from steel_xai.datasets.html import HTMLDataset
from steel_xai.datasets.results import StudyResultsDataset


@pytest.fixture
def dataset(tmp_path):
    return HTMLDataset(filepath=str(tmp_path / "study_report.html"), version=Version(None, "1"))


def test_page_survives_saving_and_loading_to_the_letter(dataset):
    page = "<p>Größe 95\N{NARROW NO-BREAK SPACE}% \N{MINUS SIGN}1</p>\r\n\n"
    dataset.save(page)
    assert HTMLDataset(filepath=str(dataset._filepath), version=Version("1", None)).load() == page


def test_saving_logs_where_the_page_lies(dataset, tmp_path, caplog):
    with caplog.at_level(logging.INFO):
        dataset.save("<p></p>")
    assert f"Study report written to {tmp_path / 'study_report.html' / '1' / 'study_report.html'}" in caplog.text


def test_failure_in_mid_write_leaves_nothing_to_load(dataset, tmp_path):
    with pytest.raises(DatasetError):
        dataset.save("half a page \udc80")  # a lone surrogate, which UTF-8 cannot hold
    assert list(tmp_path.rglob("*")) == []


def test_results_are_the_newest_versions_and_nothing_is_written(tmp_path):
    for version in ("2026-01-01", "2026-01-02"):
        path = tmp_path / "08_reporting" / "sample" / "binary" / "metrics.json" / version / "metrics.json"
        path.parent.mkdir(parents=True)
        path.write_text("{}")
    results = StudyResultsDataset(path=str(tmp_path), data_source="sample")
    assert {name: result.version for name, result in results.load().items()} == {"binary.metrics": "2026-01-02"}
    assert StudyResultsDataset(path=str(tmp_path), data_source="severstal").load() == {}
    anything: Any = "a result"
    with pytest.raises(DatasetError, match="only read"):
        results.save(anything)
