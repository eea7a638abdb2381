import os

import pytest

from steel_xai.lineage.content import ABSENT, content_of, raw_content_of, size_and_time


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "folder"
    (folder / "inner").mkdir(parents=True)
    (folder / "a.jpg").write_bytes(b"one")
    (folder / "inner" / "b").write_bytes(b"two")
    return folder


def test_a_file_counts_by_its_bytes(tmp_path):
    one, other, third = (tmp_path / name for name in ("one", "other", "third"))
    one.write_bytes(b"abc")
    other.write_bytes(b"abc")
    third.write_bytes(b"abd")
    assert content_of(one) == content_of(other) != content_of(third)
    assert content_of(one).startswith("ba7816bf8f01cfea")  # SHA-256 of "abc", FIPS 180-2


def test_a_file_that_was_written_anew_is_read_anew(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    before = content_of(path)
    path.write_bytes(b"abd")
    os.utime(path, ns=(1, 1))
    assert content_of(path) != before


def test_a_folder_counts_by_names_and_bytes_of_all_its_files(folder):
    before = content_of(folder)
    (folder / "inner" / "b").rename(folder / "inner" / "c")
    renamed = content_of(folder)
    (folder / "inner" / "c").write_bytes(b"three")
    assert len({before, renamed, content_of(folder)}) == 3


def test_a_raw_folder_counts_by_names_sizes_and_times(folder):
    before = raw_content_of(folder)
    stat = (folder / "a.jpg").stat()
    (folder / "a.jpg").write_bytes(b"eno")
    os.utime(folder / "a.jpg", ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert raw_content_of(folder) == before
    os.utime(folder / "a.jpg", ns=(1, 1))
    touched = raw_content_of(folder)
    (folder / "z.jpg").touch()
    assert len({before, touched, raw_content_of(folder)}) == 3


def test_a_raw_file_counts_by_its_bytes_and_may_be_absent(tmp_path):
    path = tmp_path / "train.csv"
    assert raw_content_of(path) == ABSENT
    path.write_bytes(b"abc")
    assert raw_content_of(path) == content_of(path)


def test_size_and_time_of_a_folder_are_of_all_its_files(folder):
    os.utime(folder / "a.jpg", ns=(5, 5))
    os.utime(folder / "inner" / "b", ns=(7, 7))
    assert size_and_time(folder) == (6, 7)


def test_what_is_not_there_is_an_error(tmp_path):
    with pytest.raises(FileNotFoundError):
        content_of(tmp_path / "nothing")
    with pytest.raises(FileNotFoundError):
        size_and_time(tmp_path / "nothing")
