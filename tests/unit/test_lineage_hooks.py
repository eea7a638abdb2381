import subprocess

import pytest
from kedro.pipeline import Node, Pipeline

from steel_xai.errors import InputError
from steel_xai.lineage_hooks import check_newest, git_commit

OURS, THEIRS = "2026-01-01T00.00.00.000Z", "2026-01-01T00.00.01.000Z"


@pytest.fixture
def folder(tmp_path):
    def save(version):
        path = tmp_path / "table.csv" / version / "table.csv"
        path.parent.mkdir(parents=True)
        path.touch()
        return tmp_path / "table.csv"

    return save


def make():
    return 1


def read(table):
    return table


MAKES = Pipeline([Node(make, None, "table", name="make")])
MAKES_AND_READS = MAKES + Pipeline([Node(read, "table", "copy", name="read")])


def test_the_newest_version_is_the_one_that_was_saved(folder, caplog):
    check_newest("table", folder(OURS), OURS, MAKES_AND_READS)
    assert caplog.text == ""


def test_a_run_never_goes_on_with_what_another_run_saved_meanwhile(folder):
    folder(OURS)
    with pytest.raises(InputError, match=rf"^table was saved as version {OURS}, .*{THEIRS} meanwhile"):
        check_newest("table", folder(THEIRS), OURS, MAKES_AND_READS)


def test_a_newer_version_that_nothing_reads_is_only_a_warning(folder, caplog):
    folder(OURS)
    check_newest("table", folder(THEIRS), OURS, MAKES)
    assert OURS in caplog.text
    assert THEIRS in caplog.text


def test_the_commit_tells_of_changes_beside_it(tmp_path):
    def git(*arguments):
        command = ["git", "-c", "user.name=a", "-c", "user.email=a@b.c", *arguments]
        return subprocess.run(command, cwd=tmp_path, check=True, capture_output=True, text=True).stdout.strip()

    assert git_commit(tmp_path) is None
    git("init", "-q")
    assert git_commit(tmp_path) is None
    (tmp_path / "file").write_text("one")
    git("add", "file")
    git("commit", "-q", "-m", "first")
    assert git_commit(tmp_path) == git("rev-parse", "--short=12", "HEAD")
    (tmp_path / "file").write_text("two")
    assert str(git_commit(tmp_path)).endswith("-dirty")
