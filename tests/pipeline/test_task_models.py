import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
from kedro.framework.startup import bootstrap_project

from .conftest import PROJECT, Project

TIMES = {"ms_per_batch_of_5", "seconds_training", "throughput"}
CLASS_NAMES = ["multiple chips", "single vertical crack", "multiple vertical cracks", "large surface patches"]
SCORES = {"accuracy", "balanced_accuracy", "f1", "auc"}


def without_times(metrics):
    return {key: value for key, value in metrics.items() if key not in TIMES}


@pytest.fixture(params=["binary", "multi"])
def task(request):
    """Each task in turn: they share all code, so they keep the same promises."""
    return request.param


def test_tasks_differ_in_their_namespace_and_parameters_only():
    from kedro.framework.project import pipelines

    def template(task):
        own = pipelines[f"{task}_model"].only_nodes_with_namespaces([task])
        return [
            (node.func, [name.replace(f"{task}.", "") for name in (*node.inputs, *node.outputs)]) for node in own.nodes
        ]

    bootstrap_project(PROJECT)
    assert template("binary") == template("multi")


def test_metrics_keep_their_contract(trained, task):
    metrics = trained.load(f"{task}.metrics")
    assert {"data_source", "model", "weights", "n_train", "n_test", "test", "baseline", *TIMES} <= metrics.keys()
    assert metrics["data_source"] == "sample"
    assert metrics["weights"] == "random"
    assert SCORES == metrics["test"].keys() == metrics["baseline"].keys() == metrics["test_intervals"].keys()
    for score, (low, high) in metrics["test_intervals"].items():
        assert 0 <= low <= metrics["test"][score] <= high <= 1


def test_metrics_count_what_was_trained_on(trained, task):
    metrics, split, index = (trained.load(name) for name in (f"{task}.metrics", f"{task}.split", "sheet_index"))
    assert metrics["n_train"] == (split["split"] == "train").sum()
    assert sum(one["sheets"] + one["copies"] for one in metrics["n_train_by_class"].values()) == metrics["n_train"]
    several = (index.filter(like="label_").sum(axis=1) > 1).sum()
    assert several > 0
    assert metrics["n_left_out"] == (several if task == "multi" else 0)


def test_evaluation_speaks_of_the_same_sheets(trained, task):
    metrics, calibration = trained.load(f"{task}.metrics"), trained.load(f"{task}.calibration")
    abstention = trained.load(f"{task}.abstention")
    everything = abstention[(abstention["split"] == "test") & (abstention["threshold"] == 0)].squeeze()
    assert everything["n_answered"] == metrics["n_test"] == calibration["n_test"]
    assert everything["accuracy"] == pytest.approx(metrics["test"]["accuracy"])
    detection = metrics["detection"]
    assert detection["n_defect_free"] + detection["n_defective"] == metrics["n_test"]
    assert [one["name"] for one in detection["recall_by_class"]] == CLASS_NAMES
    by_class = metrics["test_by_class"]
    assert sum(one["n"] for one in by_class.values()) == metrics["n_test"]
    assert {"precision", "recall", "f1"} <= by_class["no defect"].keys()
    assert metrics["throughput"]["sheets_per_second"] > 0


def test_copies_of_rare_classes_never_leave_the_training_split(trained):
    split = trained.load("multi.split")
    copies = split[split["copy"] > 0]
    assert set(copies["split"]) == {"train"}
    originals = split[split["copy"] == 0].set_index("row")
    assert (originals.loc[copies["row"], "split"] == "train").all()
    expected = {1: 2, 2: 6, 4: 2}
    counts = (
        split[split["split"] == "train"].groupby("label")["copy"].agg(lambda copy: (copy > 0).sum() / (copy == 0).sum())
    )
    assert {label: count for label, count in counts.items() if count} == expected


def test_metrics_are_those_of_the_saved_predictions(trained, task):
    predictions, metrics = trained.load(f"{task}.predictions"), trained.load(f"{task}.metrics")
    test = predictions[predictions["split"] == "test"]
    assert metrics["n_test"] == len(test)
    assert metrics["test"]["accuracy"] == pytest.approx((test["label"] == test["predicted"]).mean())


def test_predictions_cover_validation_and_test_once_with_probabilities(trained, task):
    predictions, split = trained.load(f"{task}.predictions"), trained.load(f"{task}.split")
    probabilities = ["p_0", "p_1"] if task == "binary" else ["p_0", "p_1", "p_2", "p_3", "p_4"]
    assert predictions.columns.tolist() == ["row", "image_id", "split", "label", "predicted", *probabilities]
    held_out = split[split["split"] != "train"]
    assert sorted(predictions["row"]) == sorted(held_out["row"])
    np.testing.assert_allclose(predictions[probabilities].sum(axis=1), 1, atol=1e-6)


def test_tensors_index_and_split_agree(trained):
    sheets, masks, index = (trained.load(name) for name in ("sheets", "masks", "sheet_index"))
    split = trained.load("binary.split")
    assert sheets.shape == (len(index), 1, 64, 400)
    assert masks.shape == (len(index), 64, 400)
    assert sheets.dtype == masks.dtype == np.uint8
    assert split.columns.tolist() == ["row", "image_id", "label", "split", "copy", "flip_h", "flip_v"]
    for k in range(4):
        marked = (np.asarray(masks) >> k & 1).any(axis=(1, 2))
        np.testing.assert_array_equal(marked, index[f"label_{k + 1}"] == 1)
        np.testing.assert_array_equal(index[f"area_{k + 1}"] > 0, index[f"label_{k + 1}"] == 1)
    by_row = index.set_index("row")
    defective = by_row.filter(like="label_").any(axis=1).astype(int)
    assert (split["label"].to_numpy() == defective[split["row"]].to_numpy()).all()
    assert (split["image_id"].to_numpy() == by_row["image_id"][split["row"]].to_numpy()).all()
    groups = split.merge(index[["row", "duplicate_group"]], on="row").groupby("duplicate_group")["split"].nunique()
    assert groups.max() == 1


def test_model_remembers_the_data_that_trained_it(trained, task):
    from steel_xai.fingerprint import fingerprint

    description = trained.load(f"{task}.model").description
    assert description.sheets_fingerprint == fingerprint(trained.load("sheets"))
    assert description.split_fingerprint == fingerprint(trained.load(f"{task}.split"))
    assert description.outputs == ["no defect", *(["defect"] if task == "binary" else CLASS_NAMES)]


def test_evaluation_alone_repeats_the_metrics(trained, task):
    before = without_times(trained.load(f"{task}.metrics"))
    trained.run("evaluation", namespaces=[task])
    assert without_times(trained.load(f"{task}.metrics")) == before


def test_every_result_loads_by_name(trained):
    with trained.session() as session:
        catalog = session.load_context().catalog
        from kedro.framework.project import pipelines

        names = pipelines["__default__"].datasets() - {
            "binary.training_folder",
            "multi.training_folder",
            "processing_folder",
        }
        persistent = [
            name for name in names if not name.startswith("params:") and "Memory" not in repr(catalog.get(name))
        ]
        assert len(persistent) > 10
        for name in persistent:
            if name not in ("stained_sheets", "attribute_list"):  # the user's own, optional
                assert catalog.load(name) is not None, name


def test_same_seed_gives_the_same_metrics(trained, tmp_path):
    again = Project(tmp_path)
    again.run("binary_model")
    assert without_times(again.load("binary.metrics")) == without_times(trained.load("binary.metrics"))


def test_training_killed_in_mid_epoch_ends_as_if_uninterrupted(trained, tmp_path):
    project = Project(tmp_path)
    command = [sys.executable, "-m", "kedro", "run", "--env=test", "--pipeline=binary_model"]
    command.append(f"--conf-source={project.conf}")
    # as many threads as the tests use: sums in another order differ in their last bits
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    progress = project.data / "06_models" / "sample" / "binary" / ".work" / "progress.jsonl"
    deadline = time.monotonic() + 120
    while not (progress.exists() and progress.read_text().count("\n") >= 1):
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the first epoch did not end in two minutes"
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    assert len(progress.read_text().splitlines()) == 1
    project.run("binary_model")
    assert without_times(project.load("binary.metrics")) == without_times(trained.load("binary.metrics"))
    history = project.load("binary.history")
    assert history["epoch"].tolist() == [1, 2]
    assert [json.loads(line)["epoch"] for line in progress.read_text().splitlines()] == [1, 2]
