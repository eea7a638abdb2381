import errno
import os

import click
import pytest

from steel_xai.cli import _plain_errors


def failing(number):
    def command():
        try:
            raise OSError(number, os.strerror(number), "/data/a.npy")
        except OSError as error:
            raise RuntimeError("a node failed") from error

    return _plain_errors(command)


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS])
def test_disk_that_takes_no_more_is_told_in_one_line(number):
    with pytest.raises(click.ClickException) as told:
        failing(number)()
    assert told.value.message.startswith(f"cannot write /data/a.npy: {os.strerror(number)}; free some space")


def test_what_nobody_foresaw_keeps_its_traceback():
    with pytest.raises(RuntimeError):
        failing(errno.EIO)()
