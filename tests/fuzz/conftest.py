"""Files that are none."""

import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def make_special(monkeypatch: pytest.MonkeyPatch) -> Callable[[Path, str], None]:
    """Put something that is no plain file at a path."""

    def make(path: Path, kind: str) -> None:
        match kind:
            case "pipe":
                os.mkfifo(path)
            case "folder":
                path.mkdir()
            case "device":
                path.symlink_to("/dev/zero")
            case "loop":
                path.symlink_to(path)
            case "dangling":
                path.symlink_to(path.with_name("nowhere"))
            case "socket":
                monkeypatch.chdir(path.parent)  # names of sockets are short
                with socket.socket(socket.AF_UNIX) as listener:
                    listener.bind(path.name)

    return make
