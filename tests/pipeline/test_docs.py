import os
import re
import subprocess
import sys

from .conftest import PROJECT


def test_documentation_is_built_without_warnings(tmp_path):
    # The theme's own advertisement is a warning of neither.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = {page.stem for page in (PROJECT / "docs").glob("*.md")} - {"index"}
    assert {page.parent.name for page in tmp_path.glob("*/index.html")} >= pages


def test_every_page_is_in_the_menu():
    menu = (PROJECT / "mkdocs.yml").read_text(encoding="utf-8")
    assert [page.name for page in (PROJECT / "docs").glob("*.md") if page.name not in menu] == []


def test_commands_of_the_readme_name_pipelines_that_there_are():
    from kedro.framework.project import pipelines
    from kedro.framework.startup import bootstrap_project

    bootstrap_project(PROJECT)
    texts = [PROJECT / "README.md", *(PROJECT / "docs").glob("*.md")]
    named = {name for text in texts for name in re.findall(r"--pipeline[= ]([a-z_]+)", text.read_text("utf-8"))}
    assert named <= set(pipelines)
    assert len(named) > 10
