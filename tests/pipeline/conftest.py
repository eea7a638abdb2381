import shutil
from pathlib import Path

import pytest
import yaml
from kedro.framework.startup import bootstrap_project

PROJECT = Path(__file__).parents[2]


class Project:
    """The real project on a configuration of its own, whose results go to a temporary folder."""

    def __init__(self, folder: Path, **changed_globals):
        self.data = folder / "data"
        self.conf = folder / "conf"
        shutil.copytree(PROJECT / "conf", self.conf, ignore=shutil.ignore_patterns("local"))
        (self.conf / "local").mkdir()
        path = self.conf / "test" / "globals.yml"
        values = {**yaml.safe_load(path.read_text()), "data_root": str(self.data), **changed_globals}
        path.write_text(yaml.safe_dump(values))
        bootstrap_project(PROJECT)

    def session(self, **parameters):
        from kedro.framework.project import settings

        return settings.SESSION_CLASS.create(
            PROJECT, env="test", conf_source=str(self.conf), runtime_params=parameters, save_on_close=False
        )

    def run(self, pipeline: str, parameters=None, **options):
        with self.session(**(parameters or {})) as session:
            return session.run(pipeline_names=[pipeline], **options)

    def load(self, name: str):
        with self.session() as session:
            return session.load_context().catalog.load(name)


@pytest.fixture
def project(tmp_path):
    """A project without any data."""
    return Project(tmp_path)


@pytest.fixture
def make_project(tmp_path):
    """Return a function that makes a project with other globals, such as ``data_source``."""
    return lambda **changed_globals: Project(tmp_path, **changed_globals)


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """The project after ``kedro run --env=test``: the sample made, the models trained and evaluated."""
    project = Project(tmp_path_factory.mktemp("trained"))
    project.run("__default__")
    return project


@pytest.fixture(scope="session")
def trained_folder(trained, tmp_path_factory):
    """The trained project as a folder of its own, for programs that find a project by where they are started."""
    folder = tmp_path_factory.mktemp("project")
    for name in ("pyproject.toml", ".telemetry"):
        shutil.copy(PROJECT / name, folder)
    shutil.copytree(trained.conf, folder / "conf")
    # a link would not do: Kedro wants its sources within the project
    shutil.copytree(PROJECT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "logs").mkdir()
    return folder


@pytest.fixture(scope="session")
def browser():
    """A headless Chromium that logs its console; Debian's packages are chromium and chromium-driver."""
    chromium, driver = shutil.which("chromium"), shutil.which("chromedriver")
    if not (chromium and driver):
        pytest.skip("needs chromium and chromedriver on the PATH (Debian: chromium, chromium-driver)")
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = chromium
    for argument in (
        "headless=new",
        "no-sandbox",
        "disable-gpu",
        "disable-background-networking",
        "disable-component-update",
        "disable-sync",
        "no-first-run",
        "window-size=1600,1000",
    ):
        options.add_argument(f"--{argument}")
    options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
    session = webdriver.Chrome(options=options, service=webdriver.ChromeService(driver))
    yield session
    session.quit()
