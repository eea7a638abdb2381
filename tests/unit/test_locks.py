import subprocess
import sys

import pytest

from steel_xai.errors import InputError
from steel_xai.locks import exclusive


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
