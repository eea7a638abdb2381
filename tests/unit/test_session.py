import json
import logging
import sys
from pathlib import Path

import pytest
import yaml
from click.testing import CliRunner
from kedro.framework.project import pipelines, settings
from kedro.framework.session import KedroSession
from kedro.framework.startup import bootstrap_project
from kedro.pipeline import Node, Pipeline

from steel_xai.cli import run as kedro_run
from steel_xai.config import TASKS
from steel_xai.errors import InputError
from steel_xai.locks import name_of_its_own
from steel_xai.session import BEGUN, StudySession

PROJECT = Path(__file__).parents[2]
PACKAGE = "tiny_study"

# once for the whole process, from nodes that combine tasks
pytestmark = pytest.mark.filterwarnings("ignore:One or more dataset names contain")


@pytest.fixture(scope="module")
def tiny_project(tmp_path_factory):
    """A Kedro project with nothing but this project's session and its check of inputs, so that runs start fast."""
    folder = tmp_path_factory.mktemp(PACKAGE)
    metadata = {"package_name": PACKAGE, "project_name": PACKAGE, "kedro_init_version": "1.7.0", "source_dir": "src"}
    lines = "\n".join(f'{key} = "{value}"' for key, value in metadata.items())
    (folder / "pyproject.toml").write_text(f"[tool.kedro]\n{lines}\n")
    package = folder / "src" / PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "pipeline_registry.py").write_text("def register_pipelines():\n    return {}\n")
    (package / "settings.py").write_text(
        "from steel_xai.hooks import InputHooks\nfrom steel_xai.settings import SESSION_CLASS\n"
        "HOOKS = (InputHooks(),)\nCONFIG_LOADER_ARGS = {'base_env': 'base', 'default_run_env': 'base'}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "path", [*sys.path])
        patch.setenv("PYTHONPATH", "")
        bootstrap_project(folder)
        yield folder
    for name in [name for name in sys.modules if name.startswith(PACKAGE)]:
        del sys.modules[name]
    bootstrap_project(PROJECT)


class Study:
    """Pipelines on a configuration of their own, whose models are JSON files; ``ran`` names the nodes that ran."""

    def __init__(self, project, folder):
        self.project = project
        self.folder = folder
        self.conf = folder / "conf"
        self.ran = []
        names = [f"{task}.{name}" for task in TASKS for name in ("model", "extra")]
        catalog = {
            name: {
                "type": "steel_xai.datasets.json_file.JSONDataset",
                "filepath": f"{folder}/{name}.json",
                "versioned": True,
            }
            for name in names
        }
        catalog["raw_annotations"] = {"type": "pandas.CSVDataset", "filepath": f"{folder}/train.csv"}
        (self.conf / "base").mkdir(parents=True)
        (self.conf / "base" / "catalog.yml").write_text(yaml.safe_dump(catalog))
        (self.conf / "base" / "parameters.yml").write_text("number: 1\n")

    def label(self, columns):
        (self.folder / "train.csv").write_text(",".join(columns) + "\n")

    def train(self, *tasks):
        for task in tasks:
            path = self.folder / f"{task}.model.json" / "2026-01-01T00.00.00.000Z" / f"{task}.model.json"
            path.parent.mkdir(parents=True)
            path.write_text(json.dumps({"trained": True}))

    def node(self, name, inputs, outputs, tags=()):
        def work(*_):
            self.ran.append(name)
            return {}

        return Node(work, inputs, outputs, name=name, tags=tags)

    def pipelines(self):
        training = {f"{task}_model": Pipeline([self.node("train", None, "model")], namespace=task) for task in TASKS}
        explaining = [
            Pipeline(
                [
                    self.node(f"{task}_explain", "model", "explanation"),
                    self.node(f"{task}_score", "explanation", "score"),
                    self.node(f"{task}_prepare", "params:number", "plan"),
                ],
                namespace=task,
                parameters="params:number",
            )
            for task in TASKS
        ]
        together = [
            self.node("compare", ["first", "second"], "table"),
            self.node("describe", "params:number", "description"),
        ]
        compared = Pipeline(together, inputs={"first": "binary.score", "second": "multi.score"})
        extra = Pipeline([self.node("extra", ["model", "extra"], "more")], namespace="binary")
        both = Pipeline([self.node("transfer", ["one", "other"], "moved")])
        masks = Pipeline(
            [
                self.node("read", "raw_annotations", "masks"),
                self.node("score", "masks", "scores", tags="needs_masks"),
                self.node("rank", "scores", "ranks"),
                self.node("count", "masks", "counts"),
            ]
        )
        return {
            **training,
            "report": Pipeline([self.node("report_alone", "params:number", "page")]),
            "whole": masks + Pipeline([self.node("report_last", ["ranks", "counts"], "page", tags="report")]),
            "explaining": sum(explaining, compared),
            "needs_extra": sum(explaining, extra),
            "transfer": Pipeline(both, inputs={"one": "binary.model", "other": "multi.model"}),
        }

    def run(self, *names, session_class=None, **options):
        with self.session(session_class or settings.SESSION_CLASS) as session:
            session.run(pipeline_names=list(names), **options)

    def session(self, session_class):
        return session_class.create(self.project, conf_source=str(self.conf), save_on_close=False)


@pytest.fixture
def study(tiny_project, tmp_path, monkeypatch):
    study = Study(tiny_project, tmp_path)
    monkeypatch.setattr(f"{PACKAGE}.pipeline_registry.register_pipelines", study.pipelines)
    yield study
    pipelines.configure(f"{PACKAGE}.pipeline_registry")


@pytest.fixture
def warned(caplog):
    """What the session logs, without the lines of Kedro and its plugins."""
    caplog.set_level(logging.INFO)
    return lambda: [record.getMessage() for record in caplog.records if record.name == "steel_xai.session"]


def test_with_all_models_everything_runs(study, warned):
    study.train("binary", "multi")
    study.run("explaining")
    each = [f"{task}_{node}" for task in TASKS for node in ("explain", "score", "prepare")]
    assert sorted(study.ran) == sorted([*each, "compare", "describe"])
    assert warned() == []


@pytest.mark.parametrize(("trained", "lacking"), [("binary", "multi"), ("multi", "binary")])
def test_task_without_a_model_is_left_out_with_all_that_needs_it_and_one_line_names_its_command(
    study, warned, trained, lacking
):
    study.train(trained)
    study.run("explaining")
    assert sorted(study.ran) == sorted([f"{trained}_{node}" for node in ("explain", "score", "prepare")] + ["describe"])
    assert warned() == [
        f"The {lacking} task is left out, because it has no model: `kedro run --pipeline={lacking}_model` trains it."
    ]


def test_without_any_model_the_run_is_refused_and_both_commands_are_named(study, warned):
    with pytest.raises(InputError, match=r"pipeline=binary_model.*pipeline=multi_model"):
        study.run("explaining")
    assert study.ran == []
    assert warned() == []


def test_what_needs_both_models_alone_is_refused_without_one(study, warned):
    study.train("binary")
    with pytest.raises(InputError, match=r"^multi\.model was never made.*`kedro run --pipeline=multi_model`$"):
        study.run("transfer")
    assert warned() == []


def test_a_model_that_the_run_itself_trains_counts_as_there(study, warned):
    study.run("binary_model", "explaining")
    assert sorted(study.ran) == ["binary_explain", "binary_prepare", "binary_score", "describe", "train"]
    assert len(warned()) == 1


def test_the_users_own_choice_of_nodes_stays(study, warned):
    study.train("binary")
    study.run("explaining", node_names=["binary.binary_explain", "multi.multi_explain"])
    assert study.ran == ["binary_explain"]
    assert len(warned()) == 1


def test_choosing_the_trained_task_says_nothing_of_the_other(study, warned):
    study.train("binary")
    study.run("explaining", namespaces=["binary"])
    assert sorted(study.ran) == ["binary_explain", "binary_prepare", "binary_score"]
    assert warned() == []


def test_choosing_the_task_without_a_model_is_refused(study):
    study.train("binary")
    with pytest.raises(InputError, match=r"multi\.model was never made"):
        study.run("explaining", namespaces=["multi"])
    assert study.ran == []


def test_another_input_that_is_missing_still_refuses_the_run(study):
    study.train("binary")
    with pytest.raises(InputError, match=r"^binary\.extra was never made"):
        study.run("needs_extra")
    assert study.ran == []


def test_a_pinned_version_that_is_not_there_is_refused_and_not_left_out(study, warned):
    study.train("binary", "multi")
    with pytest.raises(InputError, match=r"multi\.model"):
        study.run("explaining", load_versions={"multi.model": "2020-01-01T00.00.00.000Z"})
    assert study.ran == []
    assert warned() == []


def test_run_begun_in_the_same_millisecond_as_another_saves_under_a_version_of_its_own(study):
    (study.conf / "base" / "globals.yml").write_text(f"data_root: {study.folder}\n")
    with study.session(StudySession) as session:
        same = session.session_id
        with name_of_its_own(study.folder / BEGUN, [same]):
            session.run(pipeline_names=["binary_model"])
    (version,) = [path.name for path in (study.folder / "binary.model.json").iterdir()]
    assert version > same
    assert not (study.folder / BEGUN).exists()


def test_positional_arguments_are_kedros_own(study):
    study.train("binary")
    with study.session(StudySession) as session:
        session.run(None, ["explaining"], None, None, ["binary.binary_explain", "multi.multi_explain"])
    assert study.ran == ["binary_explain"]


def test_kedros_own_session_refuses_and_names_the_command(study):
    study.train("binary")
    with pytest.raises(InputError, match="`kedro run --pipeline=multi_model`"):
        study.run("explaining", session_class=KedroSession)
    with pytest.raises(InputError, match=r"in a script use `.*; settings\.SESSION_CLASS\.create\(\.\.\.\)`"):
        study.run("explaining", session_class=KedroSession)


def test_kedro_run_takes_the_session(study, warned):
    study.train("binary")
    result = CliRunner().invoke(
        kedro_run, ["--pipeline=explaining", f"--conf-source={study.conf}"], catch_exceptions=False
    )
    assert result.exit_code == 0
    assert sorted(study.ran) == ["binary_explain", "binary_prepare", "binary_score", "describe"]
    assert len(warned()) == 1


def test_labels_with_masks_leave_nothing_out(study, warned):
    study.label(["ImageId", "ClassId", "EncodedPixels"])
    study.run("whole")
    assert sorted(study.ran) == ["count", "rank", "read", "report_last", "score"]
    assert warned() == []


def test_labels_without_masks_leave_out_what_needs_them_and_the_report_comes_all_the_same(study, warned):
    study.label(["image_id", "label"])
    study.run("whole")
    assert study.ran == ["read", "count", "report_alone"]
    assert len(warned()) == 1
    assert "come without masks, which score need; give masks in train.csv (columns ImageId," in warned()[0]


def test_without_masks_and_a_model_both_are_told(study, warned):
    study.label(["image_id", "label"])
    study.train("binary")
    study.run("whole", "explaining")
    assert set(study.ran) == {"read", "count", "report_alone", "describe"} | {
        f"binary_{node}" for node in ("explain", "score", "prepare")
    }
    assert ["masks" in warned()[0], "multi task" in warned()[1], len(warned())] == [True, True, 2]
