from pathlib import Path

import fsspec
import pytest
from kedro.io import DatasetError

from steel_xai import raw_files
from steel_xai.config import locate_raw_data
from steel_xai.datasets.folder import SheetFolderDataset
from steel_xai.datasets.optional_folder import OptionalSheetFolderDataset
from steel_xai.datasets.table import OptionalCSVDataset, RawCSVDataset
from steel_xai.errors import InputError
from steel_xai.lineage.content import ABSENT, raw_content_of
from steel_xai.raw_files import raw_place, within
from steel_xai.sheets import decoding
from steel_xai.sheets.decoding import SheetError, read_plain_file


@pytest.fixture
def store():
    """fsspec's memory file system with a folder of its own."""
    system = fsspec.filesystem("memory")
    system.makedirs("/mill")
    yield system
    system.rm("/mill", recursive=True)


def break_network(monkeypatch, store, method):
    def fail(*arguments, **options):
        raise TimeoutError("no answer")

    monkeypatch.setattr(type(store), method, fail)


def test_places_are_paths_or_urls(tmp_path):
    assert raw_place("s3://bucket/a", tmp_path) == "s3://bucket/a"
    assert raw_place("data", tmp_path) == tmp_path / "data"
    assert raw_place("/data", tmp_path) == Path("/data")
    assert within("s3://bucket/a/", "b") == "s3://bucket/a/b"
    assert within(tmp_path, "b") == tmp_path / "b"


@pytest.mark.parametrize(
    ("stated", "folder"),
    [
        ({"data_source": "mill"}, "data/01_raw/mill"),
        ({"data_source": "mill", "raw_root": "s3://bucket/steel/"}, "s3://bucket/steel/mill"),
        ({"data_source": "mill", "raw_root": "/mnt/steel"}, "/mnt/steel/mill"),
        ({"data_source": "mill", "raw_root": "file:///mnt/steel"}, "/mnt/steel/mill"),
        ({"data_source": "sample", "raw_root": "s3://bucket/steel"}, "data/01_raw/sample"),
    ],
)
def test_raw_folder_follows_raw_root_but_for_the_sample(stated, folder):
    assert locate_raw_data({"data_root": "data", **stated})["raw_folder"] == folder


def test_sheets_at_a_url_are_listed_in_order_without_hidden_files_and_folders(store):
    for name in ("b.jpg", "a.png", ".hidden", "folder/c.jpg"):
        store.pipe(f"/mill/{name}", b"x")
    assert SheetFolderDataset(filepath="memory://mill").load() == {
        "a.png": "memory://mill/a.png",
        "b.jpg": "memory://mill/b.jpg",
    }


def test_missing_folder_at_a_url_is_named_or_may_be_lacking(store):
    with pytest.raises(DatasetError, match="No folder of sheets at memory://mill/none"):
        SheetFolderDataset(filepath="memory://mill/none").load()
    assert OptionalSheetFolderDataset(filepath="memory://mill/none").load() == {}


def test_file_in_the_place_of_a_folder_is_named(store):
    store.pipe("/mill/train_images", b"x")
    with pytest.raises(DatasetError, match="No folder of sheets at memory://mill/train_images"):
        SheetFolderDataset(filepath="memory://mill/train_images").load()


def test_sheet_at_a_url_is_read_up_to_the_limit(store, monkeypatch):
    monkeypatch.setattr(decoding, "MAX_FILE_BYTES", 5)
    store.pipe("/mill/a.jpg", b"12345")
    store.pipe("/mill/b.jpg", b"123456")
    store.pipe("/mill/c.jpg", b"")
    assert read_plain_file("memory://mill/a.jpg") == b"12345"
    for name, reason in (("b", "larger than"), ("c", "empty file"), ("d", "no such file")):
        with pytest.raises(SheetError, match=reason):
            read_plain_file(f"memory://mill/{name}.jpg")


def test_network_that_fails_is_no_fault_of_the_sheet(store, monkeypatch):
    store.pipe("/mill/a.jpg", b"12345")
    break_network(monkeypatch, store, "_open")
    with pytest.raises(InputError, match=r"memory://mill/a\.jpg cannot be read \(TimeoutError: no answer\)"):
        read_plain_file("memory://mill/a.jpg")


def test_table_at_a_url_is_read_as_strictly_as_a_local_one(store):
    store.pipe("/mill/train.csv", b"ImageId,ClassId,EncodedPixels\n0001.jpg,1,\n")
    table = RawCSVDataset(filepath="memory://mill/train.csv").load()
    assert table.to_dict("list") == {"ImageId": ["0001.jpg"], "ClassId": ["1"], "EncodedPixels": [""]}
    store.pipe("/mill/train.csv", b"a,b\n1,2,3\n")
    with pytest.raises(
        DatasetError, match=r"memory://mill/train\.csv cannot be read as a table: line 2 has more cells"
    ):
        RawCSVDataset(filepath="memory://mill/train.csv").load()


def test_table_that_is_missing_too_large_or_out_of_reach_is_named(store, monkeypatch):
    dataset = RawCSVDataset(filepath="memory://mill/train.csv")
    assert OptionalCSVDataset(filepath="memory://mill/train.csv").load() is None
    with pytest.raises(DatasetError, match=r"no file at memory://mill/train\.csv"):
        dataset.load()
    store.pipe("/mill/train.csv", b"a,b\n")
    monkeypatch.setattr(raw_files, "MAX_TABLE_BYTES", 3)
    with pytest.raises(DatasetError, match=r"memory://mill/train\.csv has more than"):
        dataset.load()
    break_network(monkeypatch, store, "_open")
    with pytest.raises(DatasetError, match=r"memory://mill/train\.csv cannot be read \(TimeoutError"):
        dataset.load()


def test_unknown_protocol_is_named():
    with pytest.raises(InputError, match=r"nonsense://mill/train\.csv is no address that fsspec knows"):
        RawCSVDataset(filepath="nonsense://mill/train.csv")


def test_content_at_a_url_changes_with_files_and_their_times(store):
    assert raw_content_of("memory://mill/none") == ABSENT
    store.pipe("/mill/a.jpg", b"one")
    first, file = raw_content_of("memory://mill"), raw_content_of("memory://mill/a.jpg")
    assert raw_content_of("memory://mill") == first
    store.pipe("/mill/a.jpg", b"two")
    assert raw_content_of("memory://mill") != first
    assert raw_content_of("memory://mill/a.jpg") != file
    changed = raw_content_of("memory://mill")
    store.pipe("/mill/b.jpg", b"two")
    assert raw_content_of("memory://mill") != changed


def test_content_of_a_file_without_any_tag_is_that_of_its_bytes(store, monkeypatch):
    monkeypatch.setattr(raw_files, "_TAGS", ())
    store.pipe("/mill/a.csv", b"abc")
    assert raw_content_of("memory://mill/a.csv").startswith("ba7816bf8f01cfea")  # SHA-256 of "abc", FIPS 180-2
