import base64
import errno
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from kedro.io import DatasetError
from kedro.io.core import Version
from PIL import Image

from steel_xai.datasets.array import MemoryMappedArrayDataset


@pytest.fixture
def dataset(tmp_path):
    return MemoryMappedArrayDataset(filepath=str(tmp_path / "sheets.npy"), version=Version(None, None))


def test_loaded_array_equals_the_saved_one_and_is_mapped_read_only(dataset):
    saved = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    dataset.save(saved)
    loaded = dataset.load()
    assert isinstance(loaded, np.memmap)
    assert not loaded.flags.writeable
    np.testing.assert_array_equal(loaded, saved)


def test_staged_file_is_moved_into_place(dataset, tmp_path):
    staged = tmp_path / "staged.npy"
    np.save(staged, np.ones((2, 2), dtype=np.uint8))
    dataset.save(staged)
    assert not staged.exists()
    np.testing.assert_array_equal(dataset.load(), np.ones((2, 2)))


def test_full_disk_leaves_no_version_and_the_last_good_one_is_loaded(dataset, monkeypatch, tmp_path):
    dataset.save(np.zeros(3, dtype=np.uint8))

    def write_some_then_fail(path, data, **options):
        Path(path).write_bytes(b"half")
        raise OSError(errno.ENOSPC, "No space left on device")

    later = MemoryMappedArrayDataset(filepath=str(tmp_path / "sheets.npy"), version=Version(None, "9999"))
    with monkeypatch.context() as patch:
        patch.setattr(np, "save", write_some_then_fail)
        with pytest.raises(DatasetError, match="No space left on device"):
            later.save(np.ones(3, dtype=np.uint8))
    fresh = MemoryMappedArrayDataset(filepath=str(tmp_path / "sheets.npy"), version=Version(None, None))
    np.testing.assert_array_equal(fresh.load(), np.zeros(3))
    assert len(list((tmp_path / "sheets.npy").iterdir())) == 1


def test_truncated_file_is_named(dataset, tmp_path):
    dataset.save(np.zeros(1000, dtype=np.uint8))
    (path,) = tmp_path.rglob("sheets.npy/*/sheets.npy")
    path.write_bytes(path.read_bytes()[:200])
    with pytest.raises(DatasetError, match=str(path)):
        dataset.load()


def test_pickled_array_is_refused(dataset, tmp_path):
    dataset.save(np.zeros(3, dtype=np.uint8))
    (path,) = tmp_path.rglob("sheets.npy/*/sheets.npy")
    np.save(path, np.array([{"code": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(DatasetError, match="pickle"):
        dataset.load()


def test_preview_is_a_picture_with_the_text_it_is_given(dataset):
    dataset.save(np.ones((3, 16, 100), dtype=np.uint8))
    few, many = (
        Image.open(BytesIO(base64.b64decode(dataset.preview(data_source="mill", class_names=names))))
        for names in (["chips"], ["chips", "crack"])
    )
    assert few.format == "PNG"
    assert few.size == many.size
    assert few.tobytes() != many.tobytes()
