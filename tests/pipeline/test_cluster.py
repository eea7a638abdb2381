"""The same results from the workers of a real Dask cluster, also where one of them is killed in the middle."""

import os
import shutil
import signal
import threading
import time

import numpy as np
import pandas as pd
import pytest

from steel_xai.cluster import on_cluster
from steel_xai.errors import InputError
from steel_xai.explain import sheets as new_sheets
from steel_xai.inference import predict, predict_every_class
from steel_xai.interpretation.explain import choose_sheets, explain_sheets
from steel_xai.sheets.parallel import map_batches, runs_elsewhere

from .conftest import Project


@pytest.fixture(scope="module")
def cluster():
    """A scheduler and two workers, each a process of its own."""
    from distributed import LocalCluster

    with LocalCluster(
        n_workers=2, threads_per_worker=1, processes=True, dashboard_address=":0", silence_logs="CRITICAL"
    ) as cluster:
        yield cluster


def worker_of(batch):
    time.sleep(0.05)
    return os.getpid(), batch.sum()


def test_maps_run_on_the_workers_and_survive_the_loss_of_one(cluster):
    items = np.arange(120 * 1000).reshape(120, 1000)  # batches large enough for joblib to move them by themselves
    killed, seen, total = None, set(), 0
    with on_cluster(cluster.scheduler_address):
        results = map_batches(
            worker_of, len(items), n_jobs=None, batch_size=2, description="", unit="item", take=lambda rows: items[rows]
        )
        for _, (worker, part) in results:
            if killed is None:
                killed = worker
                os.kill(worker, signal.SIGKILL)
            seen.add(worker)
            total += part
    assert os.getpid() not in seen
    assert len(seen) > 1
    assert total == items.sum()


def test_maps_run_on_a_cluster_of_one_thread_too():
    from distributed import LocalCluster

    with (
        LocalCluster(n_workers=1, threads_per_worker=1, processes=True, dashboard_address=":0") as small,
        on_cluster(small.scheduler_address),
    ):
        results = map_batches(
            worker_of, 4, n_jobs=None, batch_size=2, description="", unit="item", take=lambda rows: np.arange(4)[rows]
        )
        workers = {worker for _, (worker, _) in results}
    assert len(workers) == 1
    assert os.getpid() not in workers


def test_processing_on_a_cluster_gives_the_tensors_of_a_local_run(trained, cluster, tmp_path):
    project = Project(tmp_path)
    project.run("data_processing", {"compute": {"backend": "dask", "scheduler": cluster.scheduler_address}})
    for name in ("sheets", "masks"):
        assert np.array_equal(project.load(name), trained.load(name))
    for name in ("sheet_index", "quarantine"):
        assert project.load(name).equals(trained.load(name))


def test_explanations_on_a_cluster_are_those_of_a_local_run_though_a_worker_dies(trained, cluster, tmp_path):
    model, sheets, split = (trained.load(name) for name in ("binary.model", "sheets", "binary.split"))
    with trained.session() as session:
        interpretation = session.load_context().params["binary"]["interpretation"]
    parameters = interpretation.model_copy(update={"methods": ["guided_gradcam", "lime"]})
    masked = np.flatnonzero(np.asarray(trained.load("masks")).any(axis=(1, 2))).tolist()
    chosen = choose_sheets(trained.load("binary.predictions"), masked, parameters, seed=0)

    def explained(folder):
        path, index = explain_sheets(model, sheets, split, chosen, parameters, device="cpu", folder=tmp_path / folder)
        return np.load(path, allow_pickle=False), index.drop(columns="ms_per_image")

    local, local_index = explained("local")
    with on_cluster(cluster.scheduler_address):
        victim = next(iter(cluster.workers.values())).pid
        threading.Timer(0.5, os.kill, (victim, signal.SIGKILL)).start()
        remote, remote_index = explained("remote")
    np.testing.assert_allclose(remote, local, atol=2e-3)
    assert remote_index["name"].equals(local_index["name"])
    np.testing.assert_allclose(remote_index["scale"], local_index["scale"], rtol=1e-3)


def fill_memory(files):
    """Put files into fsspec's memory file system of the process that this runs in."""
    import fsspec

    for name, content in files.items():
        fsspec.filesystem("memory").pipe(name, content)


def test_processing_on_a_cluster_reads_raw_files_from_a_url(trained, cluster, tmp_path):
    raw = trained.data / "01_raw" / "sample"
    paths = [raw / "train.csv", *(raw / "train_images").iterdir()]
    files = {f"/cluster/mill/{path.relative_to(raw).as_posix()}": path.read_bytes() for path in paths}
    cluster.wait_for_workers(2)
    with cluster.get_client() as client:
        client.run(fill_memory, files)
    fill_memory(dict.fromkeys(files, b""))  # the main process sees names; content must come from the workers
    fill_memory({"/cluster/mill/train.csv": paths[0].read_bytes()})
    project = Project(tmp_path, data_source="mill", raw_root="memory://cluster")
    project.run("data_processing", {"compute": {"backend": "dask", "scheduler": cluster.scheduler_address}})
    assert np.array_equal(project.load("sheets"), trained.load("sheets"))
    assert project.load("sheet_index").equals(trained.load("sheet_index"))


def test_predictions_on_a_cluster_are_those_of_a_local_run(trained, cluster):
    sheets, split = (trained.load(name) for name in ("sheets", "binary.split"))
    model = trained.load("binary.model")
    local = predict(model, sheets, split, batch_size=2, device="cpu")
    every_local = predict_every_class(model, sheets, split, batch_size=2, device="cpu")
    with on_cluster(cluster.scheduler_address):
        started = runs_elsewhere()
        remote = predict(model, sheets, split, batch_size=2, device="cpu")
        every_remote = predict_every_class(model, sheets, split, batch_size=2, device="cpu")
    assert started
    assert not runs_elsewhere()
    pd.testing.assert_frame_equal(remote, local, rtol=0, atol=1e-5)
    np.testing.assert_allclose(every_remote, every_local, atol=1e-5)


def test_explanations_of_new_sheets_on_a_cluster_are_those_of_a_local_run(trained, cluster, tmp_path, monkeypatch):
    monkeypatch.setattr(new_sheets, "CHUNK", 2)
    images = tmp_path / "images"
    images.mkdir()
    for path in sorted((trained.data / "01_raw" / "sample" / "train_images").iterdir())[:5]:
        shutil.copy(path, images)
    (images / "notes.txt").write_text("no sheet")
    project = Project(tmp_path)
    shutil.copytree(trained.data, project.data)
    wanted = {"explain": {"images": str(images)}}
    project.run("explain_binary", wanted)
    local = project.load("binary.explained_sheets")
    project.run("explain_binary", {**wanted, "compute": {"backend": "dask", "scheduler": cluster.scheduler_address}})
    remote = project.load("binary.explained_sheets")
    assert local["status"].value_counts().to_dict() == {"explained": 5, "refused": 1}
    pd.testing.assert_frame_equal(remote, local, rtol=0, atol=1e-4)


def test_a_scheduler_that_does_not_answer_is_named(monkeypatch):
    monkeypatch.setattr("steel_xai.cluster._SECONDS_TO_CONNECT", 1)
    refused = pytest.raises(InputError, match=r"compute\.scheduler: no Dask scheduler answers at tcp://127\.0\.0\.1:9")
    with refused, on_cluster("tcp://127.0.0.1:9"):
        pass
