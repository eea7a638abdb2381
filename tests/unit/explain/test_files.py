import pytest

from steel_xai.errors import InputError
from steel_xai.explain.files import find_images


@pytest.fixture
def folder(tmp_path):
    for name in ("b.jpg", "a.png", ".hidden.jpg", "one/same.jpg", "two/same.jpg", "odd[1].jpg"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.touch()
    return tmp_path


def names(pattern):
    return [file.image_id for file in find_images(str(pattern))]


def test_folder_gives_its_files_sorted_without_hidden_ones_and_folders(folder):
    assert names(folder) == ["a.png", "b.jpg", "odd[1].jpg"]


def test_file_is_taken_though_its_name_looks_like_a_glob(folder):
    assert names(folder / "odd[1].jpg") == ["odd[1].jpg"]


def test_files_of_one_name_in_different_folders_stay_apart(folder):
    assert names(folder / "*" / "*.jpg") == ["one/same.jpg", "two/same.jpg"]
    assert len(names(folder / "**" / "*.jpg")) == 4


def test_path_without_files_is_one_clear_error(folder):
    (folder / "empty").mkdir()
    for missing in ("empty", "nowhere", "*.tif"):
        with pytest.raises(InputError, match="there is no file at"):
            names(folder / missing)


def test_no_path_at_all_tells_how_to_give_one():
    with pytest.raises(InputError, match=r"--params=explain\.images=PATH"):
        find_images(None)


def test_names_that_cannot_be_printed_are_escaped(tmp_path):
    (tmp_path / "line\nbreak.jpg").touch()
    assert names(tmp_path) == ["line\\nbreak.jpg"]
