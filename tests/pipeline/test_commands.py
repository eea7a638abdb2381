import subprocess
import sys

import pytest
from click.testing import CliRunner

from steel_xai.cli import run

from .conftest import PROJECT


def test_listing_the_pipelines_imports_no_heavy_library():
    code = (
        "import sys; from kedro.framework.startup import bootstrap_project; from pathlib import Path\n"
        "bootstrap_project(Path.cwd()); from kedro.framework.project import pipelines; assert list(pipelines)\n"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'matplotlib', 'cv2', 'pandas'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


def test_run_of_a_trivial_pipeline_imports_no_heavy_library(project):
    """Parameters are validated, hooks look at the pipeline, and a node runs; pandas is imported by Kedro."""
    code = (
        "import sys; from pathlib import Path; from kedro.framework.startup import bootstrap_project\n"
        "bootstrap_project(Path.cwd()); from steel_xai import pipeline_registry\n"
        "from kedro.pipeline import Node, Pipeline; ran = []\n"
        "trivial = Pipeline([Node(lambda seed: ran.append(seed), 'params:seed', None, name='trivial')])\n"
        "pipeline_registry.register_pipelines = lambda: {'trivial': trivial}\n"
        "from kedro.framework.project import settings\n"
        f"session = settings.SESSION_CLASS.create(env='test', conf_source={str(project.conf)!r})\n"
        "session.run(pipeline_names=['trivial']); assert ran\n"
        "print(sorted({'torch', 'torchvision', 'sklearn', 'scipy', 'matplotlib', 'cv2'} & sys.modules.keys()))"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("folder", [PROJECT, PROJECT / "docs"])
def test_log_file_lies_in_the_project_wherever_the_command_is_given(folder):
    code = (
        f"from kedro.framework.startup import bootstrap_project; bootstrap_project({str(PROJECT)!r})\n"
        "import logging; from kedro.framework.project import settings; assert settings.SESSION_CLASS\n"
        "print([handler.baseFilename for handler in logging.root.handlers if hasattr(handler, 'baseFilename')])"
    )
    shown = subprocess.run([sys.executable, "-c", code], cwd=folder, capture_output=True, text=True, check=True)
    assert shown.stdout.splitlines()[-1] == str([str(PROJECT / "logs" / "info.log")])


def test_mistake_of_the_user_is_one_line_and_an_exit_code(make_project):
    project = make_project(data_source="nowhere")
    result = CliRunner().invoke(
        run, ["--pipeline=data_processing", "--env=test", f"--conf-source={project.conf}"], prog_name="kedro run"
    )
    assert result.exit_code == 1
    assert result.output.count("Error:") == 1
    assert "No raw data for data_source 'nowhere'" in result.output
    assert "Traceback" not in result.output


def test_other_errors_keep_their_traceback(monkeypatch, project):
    def fail(*args, **kwargs):
        raise RuntimeError("a bug of ours")

    monkeypatch.setattr("kedro.framework.session.KedroSession.create", fail)
    with pytest.raises(RuntimeError, match="a bug of ours"):
        CliRunner().invoke(run, ["--env=test"], catch_exceptions=False)
