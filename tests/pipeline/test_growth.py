import json
import os
import subprocess
import sys

import cv2
import numpy as np
import pytest

from steel_xai.errors import InputError
from steel_xai.pipelines.interpretation import create_pipeline

from .conftest import PROJECT

N_SHEETS, N_FILES = 12_568, 400


@pytest.mark.slow
def test_the_whole_kaggle_set_is_processed_in_flat_memory(make_project):
    project = make_project(data_source="many")
    images = project.data / "01_raw" / "many" / "train_images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(N_FILES):
        sheet = cv2.GaussianBlur(rng.normal(100, 40, (256, 1600)).astype(np.float32), (0, 0), 1.2)
        cv2.imwrite(str(images / f"{number:06}.jpg"), np.clip(sheet, 0, 255).astype(np.uint8))
    for number in range(N_FILES, N_SHEETS):
        os.link(images / f"{number % N_FILES:06}.jpg", images / f"{number:06}.jpg")
    rows = "".join(f"{number:06}.jpg,{number % 4 + 1},1 5000 40000 3000\n" for number in range(0, N_SHEETS, 2))
    (images.parent / "train.csv").write_text("ImageId,ClassId,EncodedPixels\n" + rows)

    code = (
        "import json, resource, subprocess, sys, time; begin = time.monotonic()\n"
        "subprocess.run(sys.argv[1:], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)\n"
        "usage = resource.getrusage(resource.RUSAGE_CHILDREN)\n"
        "print(json.dumps({'megabytes': usage.ru_maxrss / 1024, 'seconds': time.monotonic() - begin}))"
    )
    command = [sys.executable, "-m", "kedro", "run", "--env=test", "--pipeline=data_processing"]
    run = subprocess.run(
        [sys.executable, "-c", code, *command, f"--conf-source={project.conf}"],
        cwd=PROJECT,
        capture_output=True,
        text=True,
        check=True,
    )
    used = json.loads(run.stdout)
    print(f"{N_SHEETS} sheets: {used['seconds']:.0f} s, peak {used['megabytes']:.0f} MB")
    assert used["megabytes"] < 1500
    assert len(project.load("sheet_index")) == N_SHEETS
    assert project.load("sheets").shape == (N_SHEETS, 1, 64, 400)


STEEL_SURFACE = ["crazing", "inclusion", "patches", "pitted surface", "rolled-in scale", "scratches"]


def plates(make_project, labels):
    """Six classes, colour, small square pictures, labels without masks."""
    project = make_project(
        data_source="plates", raw_size=[200, 200], tensor_size=[128, 128], channels=3, class_names=STEEL_SURFACE
    )
    images = project.data / "01_raw" / "plates" / "train_images"
    images.mkdir(parents=True)
    rng = np.random.default_rng(0)
    for number in range(len(labels)):
        cv2.imwrite(str(images / f"{number:03}.png"), rng.integers(0, 256, (200, 200, 3), dtype=np.uint8))
    rows = "".join(f"{number:03}.png,{label}\n" for number, label in enumerate(labels))
    (images.parent / "train.csv").write_text("image_id,label\n" + rows)
    return project


@pytest.mark.slow
def test_another_metal_surface_runs_by_configuration_alone(make_project, caplog):
    project = plates(make_project, ["no defect", *STEEL_SURFACE] * 10)
    project.run("__default__")
    assert "come without masks, which binary.score_explanations, multi.score_explanations" in caplog.text
    assert project.load("multi.stain_audit")["verdict"] == "not testable"
    report = project.load("study_report")
    assert "The same sheets through every method." in report
    assert "Explanations as segmentation" not in report
    assert project.load("sheets").shape == (70, 3, 128, 128)
    assert project.load("binary.metrics")["n_test_by_class"].keys() == {"no defect", "defect"}
    assert project.load("multi.metrics")["n_test_by_class"].keys() == {"no defect", *STEEL_SURFACE}
    assert project.load("multi.metrics")["detection"]["recall_by_size"] is None
    assert project.load("sheet_index")["area_1"].isna().all()
    project.run("model_comparison", {"training": {"epochs": 1}, "multi": {"training": {"epochs": 1}}})
    table = project.load("multi.comparison").set_index("variant")
    assert "without masks" in table.loc["patches_squeezenet", "problem"]
    assert table.drop("patches_squeezenet")["accuracy"].notna().all()


def test_source_without_defect_free_sheets_or_masks_is_learned_and_explained(make_project, caplog):
    project = plates(make_project, STEEL_SURFACE * 8)
    project.run("multi_model", {"multi": {"training": {"epochs": 1, "noise": 0.0}}})
    metrics = project.load("multi.metrics")
    assert metrics["n_test_by_class"]["no defect"] == 0
    assert metrics["n_test"] == sum(metrics["n_test_by_class"].values())
    assert 0 <= metrics["test"]["balanced_accuracy"] <= 1
    assert metrics["detection"]["missed_defect_rate"] is None
    assert "no sheet trains the output 'no defect'" in caplog.text
    with pytest.raises(InputError, match=r"the binary task cannot be trained.*--pipeline=multi_model"):
        project.run("binary_model")
    project.run("interpretation")
    project.run("inspection", node_names=["multi.explain_layers"])
    assert "come without masks, which binary.score_explanations, multi.score_explanations need" in caplog.text
    with project.session() as session:
        catalog = session.load_context().catalog
        missing = {name for name in create_pipeline("multi").all_outputs() if not catalog.exists(name)}
    assert missing == {
        f"multi.attribution_{name}"
        for name in ("scores", "scores_by_class", "scores_by_sheet", "gains", "ranking", "examples")
    }
    assert project.load("multi.layer_shap_relevance")["row"].nunique() == 1
    index, split = project.load("multi.attribution_index"), project.load("multi.split")
    assert set(index["row"]) <= set(split["row"][split["label"] > 0])
    assert index.groupby("split")["row"].nunique().to_dict() == {"validation": 3, "test": 6}
    assert set(project.load("multi.attribution_thresholds")["k_chosen_on"]) == {"study"}
    assert project.load("multi.attribution_stability")["noise_correlation"].notna().any()
