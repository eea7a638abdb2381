import html
import os
import re
import subprocess
import sys

import pytest
import yaml
from kedro.config import OmegaConfigLoader

from steel_xai.parameters import Parameters
from steel_xai.parameters.base import Section

from .conftest import PROJECT


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The documentation, built with warnings as errors."""
    folder = tmp_path_factory.mktemp("site")
    # The theme's own advertisement is a warning of neither.
    environment = {**os.environ, "NO_MKDOCS_2_WARNING": "1"}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    built = subprocess.run(command, cwd=PROJECT, env=environment, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    return folder


def test_documentation_is_built_without_warnings(site):
    pages = {page.stem for page in (PROJECT / "docs").glob("*.md")} - {"index"}
    assert {page.parent.name for page in site.glob("*/index.html")} >= pages


@pytest.fixture(scope="module")
def documented(site):
    """The parameters of the reference's tables: name -> type and range, default, as they are read."""
    page = (site / "reference" / "index.html").read_text(encoding="utf-8")
    rows = re.findall(r"<tr>\s*<td>(.*?)</td>\s*<td>(.*?)</td>\s*<td>(.*?)</td>", page, re.DOTALL)
    plain = [[html.unescape(re.sub("<.*?>", "", cell)) for cell in row] for row in rows]
    return {name: (values, default) for name, values, default in plain}


def leaves(values, name=""):
    if not (isinstance(values, dict) and values):
        return {name: values}
    parts = (leaves(value, f"{name}.{key}" if name else str(key)) for key, value in values.items())
    return {path: value for part in parts for path, value in part.items()}


def test_reference_has_every_parameter_that_conf_states_with_its_default(documented):
    stated = leaves(OmegaConfigLoader(str(PROJECT / "conf"), base_env="base", default_run_env="base")["parameters"])
    assert len(stated) > 200
    for path, value in stated.items():
        name = path
        while name not in documented:  # a mapping, or a task's section, has one row
            name, point, _ = name.rpartition(".")
            assert point, f"the reference lacks {path}"
        default = documented[name][1]
        if ".variants" in name or ".attributes" in name:
            assert path.removeprefix(f"{name}.").partition(".")[0] in default.split(", ")
        else:
            assert leaves(yaml.safe_load(default), name)[path] == value


def sections(model=Section):
    return [found for sub in model.__subclasses__() for found in (sub, *sections(sub))]


def test_reference_has_every_field_of_every_section_with_its_type(documented):
    known = {name.rpartition(".")[2] for name, (values, _) in documented.items() if values}
    parts = [section for section in sections() if section is not Parameters]  # whose fields are headings
    assert len(parts) > 30
    assert {f"{part.__name__}.{name}" for part in parts for name in part.model_fields if name not in known} == set()


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("sample.seed", "integer ≥ 0, ≤ 4294967295"),
        ("training.learning_rate", "number > 0 or auto"),
        ("training.patches", "PatchParameters or null"),
        ("training.patches.max_black", "number > 0, ≤ 1"),
        ("training.optimizer", "adam, adamw, sgd"),
        ("evaluation.baseline.size", "[integer > 0, integer > 0]"),
        ("data_processing.n_jobs", "integer, not 0; -1 uses every core"),
        ("splits.extra_copies", "mapping of names to integer ≥ 0, ≤ 100"),
        ("multi.training", "as training"),
    ],
)
def test_reference_says_which_values_a_parameter_takes(documented, name, values):
    assert documented[name][0] == values


@pytest.mark.parametrize("package", ["parameters", "datasets", "attribution", "explain"])
def test_reference_has_every_module_of_a_package(package):
    page = (PROJECT / "docs" / "reference.md").read_text(encoding="utf-8")
    modules = {path.stem for path in (PROJECT / "src" / "steel_xai" / package).glob("*.py")} - {"__init__"}
    assert modules - set(re.findall(rf"^::: steel_xai\.{package}\.(\w+)$", page, re.MULTILINE)) == set()


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
