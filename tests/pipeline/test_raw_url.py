"""Raw data at a URL gives the results of the same files on a disk."""

import fsspec
import numpy as np
import pytest
from kedro.io import DatasetError

from steel_xai.errors import InputError
from steel_xai.status import status_of


@pytest.fixture
def store(trained):
    """The sample's raw files in fsspec's memory file system, as source ``mill``; empty afterwards."""
    raw = trained.data / "01_raw" / "sample"
    system = fsspec.filesystem("memory")
    for path in (raw / "train.csv", *(raw / "train_images").iterdir()):
        system.pipe(f"/steel/mill/{path.relative_to(raw).as_posix()}", path.read_bytes())
    yield system
    system.rm("/steel", recursive=True)


@pytest.fixture
def mill(make_project):
    return make_project(data_source="mill", raw_root="memory://steel")


def test_results_are_those_of_a_local_run_and_stale_when_the_store_changes(store, mill, trained):
    image = next(iter(store.ls("/steel/mill/train_images", detail=False)))
    mill.run("data_processing")
    for name in ("sheets", "masks"):
        assert np.array_equal(mill.load(name), trained.load(name))
    for name in ("sheet_index", "quarantine"):
        assert mill.load(name).equals(trained.load(name))
    assert status(mill).is_fresh
    store.pipe(image, store.cat(image) + b" ")
    assert "raw_sheets has changed" in {reason for row in status(mill).rows for reason in row.reasons}


def status(project):
    with project.session() as session:
        return status_of(session.load_context(), "data_processing")


def test_missing_folder_is_named_by_its_url(store, mill):
    store.rm("/steel/mill/train_images", recursive=True)
    with pytest.raises(InputError, match=r"missing memory://steel/mill/train_images\. .*under memory://steel: mill;"):
        mill.run("data_processing")


def test_empty_store_is_told_before_the_first_node(make_project):
    with pytest.raises(InputError, match=r"missing memory://nowhere/mill/train\.csv and .*memory://nowhere: none"):
        make_project(data_source="mill", raw_root="memory://nowhere").run("data_processing")


def test_package_of_a_protocol_is_named_if_it_is_missing(make_project, monkeypatch):
    from fsspec.registry import known_implementations

    monkeypatch.setitem(known_implementations, "far", {"class": "no_such_package.Far", "err": "Install far"})
    with pytest.raises(DatasetError, match=r"far://steel/mill.* needs a package that is not .*: Install far"):
        make_project(data_source="mill", raw_root="far://steel").run("data_processing")


def test_sample_stays_on_the_disk_whatever_the_raw_root(make_project):
    project = make_project(raw_root="memory://steel")
    project.run("sample_data", {"sample": {"n_sheets": 20, "n_unlabelled": 0}})
    assert len(project.load("raw_sheets")) == 20
    assert not fsspec.filesystem("memory").exists("/steel")


def test_results_at_a_url_are_refused(make_project):
    with pytest.raises(InputError, match=r"^data_root is the URL memory://results"):
        make_project(data_root="memory://results").run("data_processing")
