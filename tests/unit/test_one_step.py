import errno

import pytest

from steel_xai.errors import DiskError, InputError
from steel_xai.one_step import replacing


def fail_midway(path, error):
    with replacing(path) as part:
        part.write_text("half")
        raise error


def test_file_takes_its_place_when_the_block_has_ended(tmp_path):
    path = tmp_path / "a.json"
    path.write_text("before")
    with replacing(path) as part:
        part.write_text("after")
        assert path.read_text() == "before"
    assert path.read_text() == "after"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("error", [KeyboardInterrupt(), ValueError("no JSON")])
def test_block_that_fails_leaves_what_was_there(tmp_path, error):
    path = tmp_path / "a.json"
    path.write_text("before")
    with pytest.raises(type(error)):
        fail_midway(path, error)
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_full_disk_is_told_with_the_file_and_the_way_out(tmp_path):
    full = OSError(errno.ENOSPC, "No space left on device")
    with pytest.raises(InputError, match=r"cannot write .*a\.json: No space left on device; free some space"):
        fail_midway(tmp_path / "a.json", full)
    assert not list(tmp_path.iterdir())


def test_folder_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError, match=r"cannot write .*nowhere"), replacing(tmp_path / "nowhere" / "a") as part:
        part.write_text("text")


def test_disk_error_is_told_though_the_partial_file_cannot_be_removed(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DiskError, match="cannot write"), replacing(tmp_path / "file" / "a.json") as part:
        part.write_text("text")
