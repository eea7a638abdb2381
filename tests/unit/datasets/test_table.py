import errno
import math

import pandas as pd
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version

from steel_xai.datasets.json_file import JSONDataset
from steel_xai.datasets.table import CSVDataset, OptionalCSVDataset


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
    dataset = OptionalCSVDataset(filepath=str(tmp_path / "stained_sheets.csv"), load_args={"dtype": str})
    assert dataset.load()["image_id"].tolist() == ["007.jpg"]
