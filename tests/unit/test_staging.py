import os
import subprocess
import sys

import pytest

from steel_xai.errors import InputError
from steel_xai.staging import staging


def test_two_runs_never_share_a_folder_and_both_stay(tmp_path):
    with staging(tmp_path) as one, staging(tmp_path) as other:
        assert one != other
    assert one.is_dir()
    assert other.is_dir()


def test_failed_run_leaves_nothing(tmp_path):
    def fail_half_way():
        with staging(tmp_path) as staged:
            (staged / "sheets.npy").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail_half_way()
    assert list(tmp_path.iterdir()) == []


def test_what_a_dead_run_left_is_removed_and_what_a_live_one_writes_is_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for pid in (dead.pid, os.getpid()):
        (tmp_path / f"staged-{pid}-x").mkdir()
        (tmp_path / f"staged-{pid}-x" / "sheets.npy").write_bytes(b"half")
    with staging(tmp_path) as mine:
        assert {path.name for path in tmp_path.iterdir()} == {f"staged-{os.getpid()}-x", mine.name}


def test_folder_that_cannot_be_written_is_named(tmp_path):
    with pytest.raises(InputError, match="nowhere"), staging(tmp_path / "nowhere"):
        pass
