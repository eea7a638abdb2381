import errno
import math

import pandas as pd
import pytest
from kedro.io import AbstractDataset, DatasetError
from kedro.io.core import Version
from tests.unit.test_config import load

from steel_xai.datasets.json_file import JSONDataset
from steel_xai.datasets.table import CSVDataset, OptionalCSVDataset, RawCSVDataset
from steel_xai.errors import InputError


def test_table_survives_saving_and_loading(tmp_path):
    dataset = CSVDataset(filepath=str(tmp_path / "index.csv"), version=Version(None, None))
    frame = pd.DataFrame({"row": [0, 1], "image_id": ["a.jpg", "b.jpg"]})
    dataset.save(frame)
    pd.testing.assert_frame_equal(dataset.load(), frame)


def test_failure_in_mid_write_leaves_nothing_to_load(tmp_path, monkeypatch):
    dataset = CSVDataset(filepath=str(tmp_path / "index.csv"), version=Version(None, None))

    def write_some_then_fail(self, path_or_buf, **options):
        path_or_buf.write("row,ima")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(pd.DataFrame, "to_csv", write_some_then_fail)
    with pytest.raises(DatasetError, match="No space left on device"):
        dataset.save(pd.DataFrame({"row": [0]}))
    assert not dataset.exists()
    assert list(tmp_path.rglob("*")) == []


def test_nan_is_refused_in_json_and_leaves_no_file(tmp_path):
    dataset = JSONDataset(filepath=str(tmp_path / "metrics.json"), version=Version(None, None))
    with pytest.raises(DatasetError, match="not JSON compliant"):
        dataset.save({"auc": math.nan})
    assert list(tmp_path.rglob("*")) == []


def test_absent_table_of_the_user_is_none(tmp_path):
    assert OptionalCSVDataset(filepath=str(tmp_path / "stained_sheets.csv")).load() is None


def test_present_table_of_the_user_is_read(tmp_path):
    (tmp_path / "stained_sheets.csv").write_text("image_id\n007.jpg\n")
    dataset = OptionalCSVDataset(filepath=str(tmp_path / "stained_sheets.csv"))
    assert dataset.load()["image_id"].tolist() == ["007.jpg"]


@pytest.mark.parametrize("names", [["0001", "12e45", "NA", ""], ["0001", "0002"], ["", "NA"], []])
def test_names_of_images_stay_text(tmp_path, names):
    dataset = CSVDataset(filepath=str(tmp_path / "index.csv"), version=Version(None, None))
    areas = [math.nan, *range(1, len(names))] if names else []
    dataset.save(pd.DataFrame({"image_id": names, "area_1": areas, "reason": names}))
    loaded = dataset.load()
    assert loaded["image_id"].tolist() == loaded["reason"].tolist() == names
    assert loaded["area_1"].isna().tolist() == [True, *[False] * (len(names) - 1)][: len(names)]
    assert pd.api.types.is_string_dtype(loaded["image_id"])


def test_preview_of_a_table_keeps_names_as_text(tmp_path):
    dataset = CSVDataset(filepath=str(tmp_path / "index.csv"))
    dataset.save(pd.DataFrame({"image_id": ["0001", "0002"]}))
    assert dataset.preview(nrows=1)["data"] == [["0001"]]


def raw(folder, content):
    (folder / "train.csv").write_bytes(content)
    return RawCSVDataset(filepath=str(folder / "train.csv"))


def test_cells_of_a_raw_table_are_text(tmp_path):
    table = raw(tmp_path, b"id,class,rle\n0001,1,\nNA,2.0,1 2\n").load()
    assert table.to_numpy().tolist() == [["0001", "1", ""], ["NA", "2.0", "1 2"]]


def test_byte_order_mark_is_no_part_of_the_first_column(tmp_path):
    assert list(raw(tmp_path, b"\xef\xbb\xbfid,rle\n1,2\n").load().columns) == ["id", "rle"]


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (b"id,rle\n1,2\n3,4,5\n", "line 3 has 3 cells, but the header has 2"),
        (b"id,rle\n1,2,\n3,4,\n", "line 2 has more cells than the header"),
        (b"id,rle\n1,2,x\n3,4,y\n", "line 2 has more cells than the header"),
        (b"id,rle\n1,2,x\n3,4\n", "line 2 has more cells than the header"),
        (b"id,rle\n1,2\n\xe9,4\n", "line 3 is no UTF-8 text"),
        ("id,rle\n1,2\n".encode("utf-16"), "line 1 is no UTF-8 text"),
        (b'id,rle\n1,2\n"3,4\n5,6\n', "the quote that opens in line 3 is never closed"),
        (b"id,rle\n1\0,2\n", "line 2 has a NUL character"),
        (bytes(20), "line 1 has a NUL character"),
    ],
    ids=str,
)
def test_raw_table_that_cannot_be_read_without_loss_is_refused(tmp_path, content, problem):
    with pytest.raises(DatasetError, match=rf"train\.csv cannot be read as a table: {problem}.*UTF-8") as refused:
        raw(tmp_path, content).load()
    assert isinstance(refused.value.__cause__, InputError)


@pytest.mark.parametrize("name", ["raw_annotations", "stained_sheets"])
def test_catalog_reads_the_users_tables_without_loss_or_not_at_all(tmp_path, name):
    path = tmp_path / "table.csv"
    dataset = AbstractDataset.from_config(name, {**load("catalog")[name], "filepath": str(path)})
    path.write_bytes(b"\xef\xbb\xbfimage_id,label\n0001,\n")
    assert dataset.load().to_dict("list") == {"image_id": ["0001"], "label": [""]}
    path.write_bytes(b"image_id,label\n0001,1,\n0002,2,\n")
    with pytest.raises(DatasetError, match="line 2 has more cells"):
        dataset.load()


@pytest.mark.parametrize("name", ["quarantine", "sheet_index", "{task}.split", "{task}.predictions"])
def test_catalog_keeps_names_of_images_as_text(tmp_path, name):
    config = {**load("catalog")[name], "filepath": str(tmp_path / "table.csv"), "versioned": False}
    dataset = AbstractDataset.from_config(name, config)
    dataset.save(pd.DataFrame({"image_id": ["", "0001"], "reason": ["NA", "12e45"]}))
    assert dataset.load().to_numpy().tolist() == [["", "NA"], ["0001", "12e45"]]


def test_line_with_too_many_cells_is_found_far_down_a_long_table(tmp_path):
    with pytest.raises(DatasetError, match="line 300002 has 3 cells"):
        raw(tmp_path, b"id,rle\n" + b"1,2\n" * 300_000 + b"1,2,3\n").load()


def test_optional_table_that_cannot_be_read_is_refused_too(tmp_path):
    (tmp_path / "stained_sheets.csv").write_bytes(b"")
    with pytest.raises(DatasetError, match=r"stained_sheets\.csv cannot be read"):
        OptionalCSVDataset(filepath=str(tmp_path / "stained_sheets.csv")).load()
