"""What can befall a run: it is killed, interrupted, runs beside another, its disk is full, its files are damaged.

Each as a real ``kedro run`` at the size of conf/test. Counts of cases go into the test report as properties.
"""

import hashlib
import os
import re
import resource
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pytest
import torch
from kedro.framework.hooks import hook_impl
from kedro.io import AbstractVersionedDataset, DatasetError

from steel_xai.errors import InputError

from .conftest import PROJECT, Project

slow = pytest.mark.slow
STAGES = [
    "data_processing",
    "binary_model",
    "multilabel",
    "inspection",
    "interpretation",
    "stain_audit",
    "model_comparison",
    "segmentation",
    "cascade",
    "noise_robustness",
    "stain_remedy",
    "stain_audit_check",
    "sample_data",
    "explain_binary",
]
TIMES = re.compile(r"seconds|throughput|^ms_per|^versions$|^made_at$")
SHOW_TIMES = ("training_curves", "accuracy_against_time", "cascade.scores")
"""Figures that show how long something took."""
ONE_TASK = "--namespaces=binary"


@dataclass
class Ended:
    code: int
    told: str
    paths: int
    """Files and folders that came into being in its data folder."""


class Run:
    """A ``kedro run`` in a process of its own, whose data folder is watched."""

    def __init__(self, project, *arguments, limit=None):
        self.root = project.data
        self.output = project.data.parent / f"output-{time.monotonic_ns()}.txt"
        command = [sys.executable, "-m", "kedro", "run", "--env=test", f"--conf-source={project.conf}", *arguments]
        # as many threads as the tests use: sums in another order differ in their last bits
        environment = {**os.environ, "OMP_NUM_THREADS": str(torch.get_num_threads())}

        def prepare():
            signal.signal(signal.SIGINT, signal.SIG_DFL)  # what is started in the background of a shell ignores it
            if limit is not None:
                resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))

        with self.output.open("w") as output:
            self.process = subprocess.Popen(
                command,
                cwd=folder_of(project),
                env=environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=prepare,
            )
        self.before = self._paths()
        self.new: set[str] = set()

    def until(self, reached, seconds=600):
        """Wait until something is true of the new paths; tell whether it was before the run ended."""
        deadline = time.monotonic() + seconds
        while self.process.poll() is None:
            self.new |= self._paths() - self.before
            if reached(self.new):
                return True
            assert time.monotonic() < deadline, self.told()
            time.sleep(0.01)
        return False

    def signal(self, number):
        os.killpg(self.process.pid, number)
        return self.end()

    def end(self):
        self.until(lambda _: False)
        self.new |= self._paths() - self.before
        return Ended(self.process.wait(), self.told(), len(self.new))

    def told(self):
        return self.output.read_text()

    def _paths(self):
        return {f"{folder}/{name}" for folder, _, files in os.walk(self.root) for name in (*files, "")}


def folder_of(project):
    """Make a project's folder: its log lies where the run is started, and Kedro wants its sources within."""
    folder = project.data.parent / "project"
    if not folder.exists():
        folder.mkdir()
        for name in ("pyproject.toml", ".telemetry"):
            shutil.copy(PROJECT / name, folder)
        shutil.copytree(PROJECT / "src", folder / "src", ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copytree(project.conf, folder / "conf")
        (folder / "logs").mkdir()
    return folder


def comparable(value):
    """Make of a result what is equal where the result is, but for times and versions of libraries."""
    if isinstance(value, pd.DataFrame):
        kept = [name for name in value.columns if not TIMES.search(str(name))]
        return kept, value[kept].to_csv(float_format="%.9g")
    if isinstance(value, dict):
        return {key: comparable(part) for key, part in value.items() if not TIMES.search(str(key))}
    if isinstance(value, (list, tuple)):
        return [comparable(part) for part in value]
    if isinstance(value, np.ndarray):
        return value.shape, str(value.dtype), hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()
    if hasattr(value, "network"):
        state = {name: comparable(tensor.numpy()) for name, tensor in value.network.state_dict().items()}
        return state, comparable(value.description.model_dump(mode="json"))
    if hasattr(value, "convert"):
        return comparable(np.asarray(value))
    return value


def results_of(project, pipeline, namespace=None):
    """Load every result of a pipeline that is there."""
    from kedro.framework.project import pipelines

    found = {}
    with project.session() as session:
        catalog = session.load_context().catalog
        for name in sorted(pipelines[pipeline].all_outputs()):
            dataset = catalog.get(name)
            kept = isinstance(dataset, AbstractVersionedDataset) and (not namespace or name.startswith(namespace))
            if kept and not name.endswith(SHOW_TIMES) and dataset.exists():
                found[name] = comparable(dataset.load())
    sample = project.data / "01_raw" / "sample"
    if pipeline == "sample_data" and sample.exists():
        files = (path for path in sorted(sample.rglob("*")) if path.is_file())
        found["sample"] = {
            str(path.relative_to(sample)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files
        }
    return found


def different(found, expected):
    return sorted(name for name in found if found[name] != expected.get(name))


@pytest.fixture
def copy(trained, tmp_path):
    """The trained project, to be ill-treated."""
    project = Project(tmp_path)
    shutil.copytree(trained.data, project.data)
    return project


@pytest.fixture(scope="module")
def arguments(trained):
    """Return a function that says what is typed to run a pipeline."""
    images = trained.data / "01_raw" / "sample" / "train_images"  # the same for all copies: results name the files

    def of(pipeline):
        more = [f"--params=explain.images={images}"] if pipeline == "explain_binary" else []
        return [f"--pipeline={pipeline}", *more]

    return of


@pytest.fixture(scope="module")
def undisturbed(trained, arguments, tmp_path_factory):
    """Return a function that runs a pipeline on the trained project: its results, and how many paths it made."""
    known = {}

    def run(pipeline):
        if pipeline not in known:
            project = Project(tmp_path_factory.mktemp(pipeline))
            shutil.copytree(trained.data, project.data)
            ended = Run(project, *arguments(pipeline)).end()
            assert ended.code == 0, ended.told
            known[pipeline] = results_of(project, pipeline), ended.paths
        return known[pipeline]

    return run


def any_chunk(paths):
    """Tell whether finished explanations are among paths."""
    return any(path.endswith(".npz") for path in paths)


def test_explanation_that_is_interrupted_and_then_killed_ends_as_if_undisturbed(trained, copy):
    arguments = ("--pipeline=interpretation", ONE_TASK)
    expected = results_of(trained, "interpretation", "binary.")
    run = Run(copy, *arguments)
    assert run.until(any_chunk)
    interrupted = run.signal(signal.SIGINT)
    assert (interrupted.code, interrupted.told.count("Error: Interrupted.")) == (130, 1), interrupted.told
    assert "Traceback" not in interrupted.told
    kept = sorted(copy.data.rglob("*.npz"))
    assert kept
    run = Run(copy, *arguments)
    assert run.until(any_chunk)
    assert run.signal(signal.SIGKILL).code == -signal.SIGKILL
    assert all(path.exists() for path in kept)
    assert results_of(copy, "interpretation", "binary.") == expected
    copy.run("interpretation", namespaces=["binary"])
    assert results_of(copy, "interpretation", "binary.") == expected
    assert not list(copy.data.rglob("*.npz"))


@slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT], ids=["kill -9", "Ctrl-C"])
@pytest.mark.parametrize("pipeline", STAGES)
def test_disturbed_stage_ends_as_if_undisturbed(undisturbed, arguments, copy, pipeline, number, record_property):
    """Three runs are disturbed one after the other, at paths that they make; what can be loaded then is right."""
    expected, paths = undisturbed(pipeline)
    rng = np.random.default_rng([STAGES.index(pipeline), number])
    disturbed = 0
    for share in rng.uniform(0, 0.9, 3):
        run = Run(copy, *arguments(pipeline))
        if run.until(lambda new, share=share: len(new) > share * paths):
            ended = run.signal(number)
            # Ctrl-C ends a training, and the run goes on with its best epoch
            assert ended.code in (-number, 130, 0), ended.told
            assert "Traceback" not in ended.told
            disturbed += 1
            found = results_of(copy, pipeline)
            if "best epoch so far is kept" not in ended.told:
                assert different(found, expected) == []
    ended = Run(copy, *arguments(pipeline)).end()
    assert ended.code == 0, ended.told
    assert different(results_of(copy, pipeline), expected) == []
    record_property("cases", {"tried": disturbed, "lost": 0})
    assert disturbed > 0


def sides(projects, *arguments):
    runs = [Run(project, *arguments) for project in projects]
    return [run.end() for run in runs]


def test_two_first_runs_at_once_are_both_right_or_one_says_why_it_stops(trained, tmp_path):
    project = Project(tmp_path)
    ended = sides([project, project], "--pipeline=data_processing")
    for one in ended:
        assert one.code == 0 or "another run" in one.told.splitlines()[-1], one.told
        assert "Traceback" not in one.told
    assert any(one.code == 0 for one in ended)
    assert results_of(project, "data_processing") == results_of(trained, "data_processing")


@slow
@pytest.mark.parametrize("pipeline", STAGES)
def test_two_runs_at_once_are_both_right_or_one_says_why_it_stops(
    undisturbed, arguments, copy, pipeline, record_property
):
    expected, _ = undisturbed(pipeline)
    ended = sides([copy, copy], *arguments(pipeline))
    for one in ended:
        assert one.code == 0 or "nother run" in one.told.splitlines()[-1], one.told
        assert "Traceback" not in one.told
    assert any(one.code == 0 for one in ended)
    assert different(results_of(copy, pipeline), expected) == []
    record_property("cases", {"right": sum(one.code == 0 for one in ended)})


def versions_of(project):
    return {path for path in project.data.glob("0[2-8]_*/**/????-??-??T*/*") if path.name != "lineage.json"}


def check_full(project, ended, before):
    """A disk was full: the run has ended with one message, and every version that it has left is whole."""
    assert ended.code == 1, ended.told
    assert "Traceback" not in ended.told
    assert re.search(r"^Error: .*(File too large|No space left).*", ended.told.splitlines()[-1]), ended.told
    left = versions_of(project) - before
    assert not [path for path in left if path.name.startswith(".")]


def test_full_disk_is_told_in_one_message_and_leaves_no_half_result(trained, copy):
    expected, before = results_of(trained, "data_processing"), versions_of(copy)
    check_full(copy, Run(copy, "--pipeline=data_processing", limit=1 << 20).end(), before)
    assert results_of(copy, "data_processing") == expected
    copy.run("data_processing")
    assert results_of(copy, "data_processing") == expected


@slow
@pytest.mark.parametrize("kilobytes", [128, 512])
@pytest.mark.parametrize("pipeline", [stage for stage in STAGES if stage != "data_processing"])
def test_full_disk_in_any_stage(undisturbed, arguments, copy, pipeline, kilobytes):
    expected, _ = undisturbed(pipeline)
    before = versions_of(copy)
    ended = Run(copy, *arguments(pipeline), limit=kilobytes << 10).end()
    if ended.code:
        check_full(copy, ended, before)
    assert different(results_of(copy, pipeline), expected) == []
    again = Run(copy, *arguments(pipeline)).end()
    assert again.code == 0, again.told
    assert different(results_of(copy, pipeline), expected) == []


@contextmanager
def mounted(folder, *options):
    """Mount something at a folder for the length of a block; skip where that is not allowed."""
    folder.mkdir(parents=True, exist_ok=True)
    try:
        made = subprocess.run(["mount", *options, str(folder)], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        pytest.skip("needs mount")
    if made.returncode:
        pytest.skip(f"needs the right to mount: {made.stderr.strip()}")
    try:
        yield
    finally:
        subprocess.run(["umount", str(folder)], check=True)


@slow
def test_disk_that_is_full_with_log_and_all_is_told_in_one_message(trained, tmp_path):
    project = Project(tmp_path)
    folder_of(project)
    with mounted(project.data, "-t", "tmpfs", "-o", "size=64m", "tmpfs"):
        shutil.copytree(trained.data / "01_raw", project.data / "01_raw", dirs_exist_ok=True)
        shutil.rmtree(folder_of(project) / "logs")
        (project.data / "logs").mkdir()
        (folder_of(project) / "logs").symlink_to(project.data / "logs")
        free = shutil.disk_usage(project.data).free
        (project.data / "ballast").write_bytes(bytes(free - (256 << 10)))
        check_full(project, Run(project, "--pipeline=data_processing").end(), set())
        (project.data / "ballast").unlink()


def test_read_only_data_folder_is_named(trained, tmp_path):
    project = Project(tmp_path)
    with mounted(project.data, "--bind", "-o", "ro", str(trained.data)):
        subprocess.run(["mount", "-o", "remount,bind,ro", str(project.data)], check=True)
        ended = Run(project, "--pipeline=data_processing").end()
    assert ended.code == 1
    assert "Traceback" not in ended.told
    assert re.search(rf"^Error: .*{project.data}.*Read-only file system", ended.told.splitlines()[-1]), ended.told


def cut(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def lack_a_column(path):
    pd.read_csv(path).drop(columns="p_0").to_csv(path, index=False)


def lack_a_key(path):
    path.write_text('{"data_source": "sample"}')


DAMAGED = {
    "table": ("binary.predictions", "", cut, "calibrate_model"),
    "columns": ("binary.predictions", "", lack_a_column, "calibrate_model"),
    "keys": ("binary.calibration", "", lack_a_key, "plot_reliability_diagram"),
    "array": ("sheets", "", cut, "predict_baseline"),
    "weights": ("binary.model", "model.safetensors", cut, "predict_sheets"),
    "description": ("binary.model", "model.json", cut, "predict_sheets"),
    "json": ("binary.calibration", "", cut, "plot_reliability_diagram"),
}


def node_named(name):
    from kedro.framework.project import pipelines

    return next(node.name for node in pipelines["__default__"].nodes if node.func.__name__ == name)


def newest(project, name):
    task, _, short = name.rpartition(".")
    (folder,) = [path for path in project.data.glob(f"0*/sample/{task or '.'}/{short}*") if path.stem == short]
    return max(version for version in folder.iterdir() if (version / folder.name).exists()) / folder.name


def told_by(project, node, *hooks):
    """Run a node; return what a user is told in place of a traceback."""
    with project.session() as session:
        for hook in hooks:
            session._hook_manager.register(hook)
        with pytest.raises((DatasetError, InputError)) as raised:
            session.run(pipeline_names=["__default__"], node_names=[node_named(node)])
    error: BaseException | None = raised.value
    while error is not None and not isinstance(error, InputError):
        error = error.__cause__
    assert error is not None, repr(raised.value)
    return str(error)


@pytest.mark.parametrize(("name", "file", "damage", "node"), DAMAGED.values(), ids=DAMAGED.keys())
def test_damaged_result_is_named_with_the_way_out(copy, name, file, damage, node):
    path = newest(copy, name) / file if file else newest(copy, name)
    damage(path)
    told = told_by(copy, node)
    assert str(path) in told
    assert re.search(r"anew|another version", told)


@pytest.mark.parametrize("name", ["sheets", "binary.predictions", "binary.model", "binary.calibration"])
def test_deleted_result_is_named_with_the_command_that_makes_it(copy, name):
    shutil.rmtree(newest(copy, name).parents[1])
    node = {"sheets": "predict_baseline", "binary.predictions": "calibrate_model", "binary.model": "predict_sheets"}
    told = told_by(copy, node.get(name, "plot_reliability_diagram"))
    assert f"{name} was never made" in told
    assert "`kedro run --pipeline=" in told


class Deletes:
    """Take a result away in the middle of a run, before it is loaded."""

    def __init__(self, path):
        self.path = path

    @hook_impl
    def before_dataset_loaded(self):
        shutil.rmtree(self.path, ignore_errors=True)


@pytest.mark.parametrize(
    ("name", "node"),
    [("binary.predictions", "calibrate_model"), ("sheets", "predict_baseline"), ("binary.model", "predict_sheets")],
)
def test_result_deleted_in_mid_run_is_named(copy, name, node):
    path = newest(copy, name)
    assert str(path) in told_by(copy, node, Deletes(path.parent))
