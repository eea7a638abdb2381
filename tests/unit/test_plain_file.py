import os

import pytest

from steel_xai.errors import InputError
from steel_xai.plain_file import one_line, plain_file_size


def test_size_of_a_file_and_of_what_a_link_leads_to(tmp_path):
    (tmp_path / "file").write_bytes(b"12345")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert plain_file_size(tmp_path / "file") == plain_file_size(tmp_path / "link") == 5


def test_what_is_no_plain_file_is_named(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(InputError, match="pipe is a folder, a pipe or a device"):
        plain_file_size(tmp_path / "pipe")
    with pytest.raises(InputError, match="none cannot be opened: No such file"):
        plain_file_size(tmp_path / "none")


def test_a_reason_is_one_short_printable_line():
    assert one_line(ValueError("two\n\tlines")) == "two lines"
    assert one_line("\x1b[2J") == "\\x1b[2J"
    assert len(one_line("x" * 10_000)) == 500
