import errno
import os
from pathlib import Path

import pytest
import torch

from steel_xai.checkpoint import save_checkpoint
from steel_xai.datasets import files
from steel_xai.errors import DiskError, InputError
from steel_xai.one_step import replacing


@pytest.fixture
def steps(monkeypatch):
    """What comes to the disk, and what is renamed, in order."""
    seen, fsync, replace = [], os.fsync, os.replace

    def synced(descriptor):
        seen.append(f"synced {os.fstat(descriptor).st_size}")
        fsync(descriptor)

    def renamed(source, target):
        seen.append("renamed")
        replace(source, target)

    monkeypatch.setattr(os, "fsync", synced)
    monkeypatch.setattr(os, "replace", renamed)
    monkeypatch.setattr(Path, "replace", renamed)
    return seen


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


@pytest.mark.parametrize("replace", [replacing, files.replacing], ids=["work", "result"])
def test_content_is_on_the_disk_before_it_takes_its_place(tmp_path, steps, replace):
    with replace(tmp_path / "a") as part:
        part.write_text("12345")
    assert steps == ["synced 5", "renamed"]


def test_every_file_of_a_folder_is_on_the_disk_before_it_takes_its_place(tmp_path, steps):
    with files.replacing(tmp_path / "model") as part:
        (part / "inner").mkdir(parents=True)
        (part / "inner/a").write_text("1")
        (part / "b").write_text("1")
    assert steps == ["synced 1", "synced 1", "renamed"]


def test_checkpoint_is_on_the_disk_before_it_takes_its_place(tmp_path, steps):
    save_checkpoint(tmp_path / "checkpoint", "key", {"a": torch.ones(3)}, {})
    assert [step.split()[0] for step in steps] == ["synced", "renamed"]
