import pytest
from kedro.io import DatasetError

from steel_xai.datasets.folder import SheetFolderDataset, WorkFolderDataset


def test_sheets_are_listed_in_order_without_hidden_files_and_folders(tmp_path):
    for name in ("b.jpg", "a.png", ".hidden"):
        (tmp_path / name).touch()
    (tmp_path / "folder").mkdir()
    assert SheetFolderDataset(filepath=str(tmp_path)).load() == {
        "a.png": tmp_path / "a.png",
        "b.jpg": tmp_path / "b.jpg",
    }


def test_missing_folder_of_sheets_is_named(tmp_path):
    with pytest.raises(DatasetError, match=str(tmp_path / "train_images")):
        SheetFolderDataset(filepath=str(tmp_path / "train_images")).load()


def test_raw_data_is_never_written(tmp_path):
    with pytest.raises(DatasetError, match="only read"):
        SheetFolderDataset(filepath=str(tmp_path)).save({})  # type: ignore[arg-type]


def test_work_folder_is_made_when_asked_for(tmp_path):
    folder = WorkFolderDataset(filepath=str(tmp_path / "models" / ".work")).load()
    assert folder.is_dir()


def test_work_folder_that_cannot_be_made_is_named(tmp_path):
    (tmp_path / "models").write_text("a file in the way")
    with pytest.raises(DatasetError, match=str(tmp_path / "models" / ".work")):
        WorkFolderDataset(filepath=str(tmp_path / "models" / ".work")).load()
