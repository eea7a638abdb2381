import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from steel_xai.errors import InputError
from steel_xai.locks import exclusive, name_of_its_own


def test_second_run_in_a_folder_is_told_why_it_stops(tmp_path):
    with (
        exclusive(tmp_path / "work"),
        pytest.raises(InputError, match="another run is at work"),
        exclusive(tmp_path / "work"),
    ):
        pass


def test_folder_is_free_after_the_first_run(tmp_path):
    for _ in range(2):
        with exclusive(tmp_path):
            pass


def test_killed_run_holds_nothing(tmp_path):
    code = (
        "import os, signal, sys; from pathlib import Path; from steel_xai.locks import exclusive\n"
        "with exclusive(Path(sys.argv[1])): os.kill(os.getpid(), signal.SIGKILL)"
    )
    killed = subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    assert killed.returncode < 0
    with exclusive(tmp_path):
        pass


def test_names_held_at_the_same_time_differ(tmp_path):
    everyone = Barrier(8)

    def hold(_):
        with name_of_its_own(tmp_path / "held", map(str, range(8))) as name:
            everyone.wait()  # nobody lets go before all hold one
            return name

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(hold, range(8))) == list("01234567")
    assert list(tmp_path.iterdir()) == []


def test_names_that_killed_processes_left_behind_are_cleared_away(tmp_path):
    for name, seconds in (("long ago", 3600), ("just now", 0)):
        (tmp_path / name).touch()
        then = (tmp_path / name).stat().st_mtime - seconds
        os.utime(tmp_path / name, (then, then))
    with name_of_its_own(tmp_path, ["just now", "now"]) as name:
        assert name == "now"
        assert sorted(path.name for path in tmp_path.iterdir()) == ["just now", "now"]


def test_folders_made_for_a_name_go_with_it_but_for_what_was_put_there(tmp_path):
    with name_of_its_own(tmp_path / "data" / "held", ["name"]):
        pass
    assert list(tmp_path.iterdir()) == []
    with name_of_its_own(tmp_path / "data" / "held", ["name"]):
        (tmp_path / "data" / "result").touch()
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["result"]


def test_folder_that_takes_no_files_stops_nobody(tmp_path):
    (tmp_path / "file").touch()
    with name_of_its_own(tmp_path / "file", ["name"]) as name:
        assert name == "name"
