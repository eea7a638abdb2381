"""Stages that train and measure more than the two models of the study."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time

import pytest

from steel_xai.errors import InputError

from .conftest import PROJECT, Project


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """The project after a model comparison that was killed once the first variant was finished, and run again."""
    project = Project(tmp_path_factory.mktemp("compared"))
    command = [sys.executable, "-m", "kedro", "run", "--env=test", "--pipeline=model_comparison"]
    command.append(f"--conf-source={project.conf}")
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    run = subprocess.Popen(command, cwd=PROJECT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    first = project.data / "06_models" / "sample" / "binary" / ".comparison" / "ad_hoc_cnn" / "finished.json"
    deadline = time.monotonic() + 120
    while not first.exists():
        assert run.poll() is None, "the run ended before it could be killed"
        assert time.monotonic() < deadline, "the first variant did not end in two minutes"
        time.sleep(0.02)
    run.send_signal(signal.SIGKILL)
    run.wait()
    kept = first.read_text()
    project.run("model_comparison")
    return project, json.loads(kept)["row"]


def test_killed_comparison_repeats_no_finished_variant(compared):
    project, kept = compared
    table = project.load("binary.comparison").set_index("variant")
    assert table.index.tolist() == ["logistic_regression", "ad_hoc_cnn", "reduced_squeezenet"]
    # its times would differ if it had been trained anew
    assert table.loc["ad_hoc_cnn", "seconds_training"] == kept["seconds_training"]
    assert table.loc["ad_hoc_cnn", "ms_per_batch_of_5"] == kept["ms_per_batch_of_5"]
    assert table["accuracy"].notna().all()


def test_comparison_has_a_row_for_every_chosen_variant_beside_the_published_one(compared):
    project, _ = compared
    table = project.load("multi.comparison").set_index("variant")
    assert table.index.tolist() == ["logistic_regression", "augmented_cnn", "patches_squeezenet"]
    assert table.loc["augmented_cnn", "published_balanced_accuracy"] == 0.697
    assert (table["data_source"] == "sample").all()
    assert table["problem"].isna().all()
    assert project.load("multi.accuracy_against_time").width > 600


def test_patches_of_one_sheet_stay_in_its_split(trained):
    """The windows that train the patch variant come from training sheets; those it is judged by from validation."""
    from steel_xai.parameters import PatchParameters
    from steel_xai.patches import cut_windows

    sheets, masks, split = (trained.load(name) for name in ("sheets", "masks", "multi.split"))
    patches = PatchParameters(count=6, size=(64, 64), black_level=16, max_black=0.5)
    folder = trained.data / "06_models"
    _, windows = cut_windows(sheets, masks, split, patches, labels="single_class", folder=folder)
    split_of = split.drop_duplicates("row").set_index("image_id")["split"]
    assert (windows["split"] == split_of[windows["image_id"]].to_numpy()).all()
    assert set(windows["split"]) == {"train", "validation"}
    assert set(windows.loc[windows["copy"] > 0, "split"]) == {"train"}


def test_noise_is_measured_for_the_model_and_its_twin(trained):
    trained.run("noise_robustness", namespaces=["binary"])
    table = trained.load("binary.noise_robustness")
    assert table["trained_with_noise"].unique().tolist() == [0.15, 0]
    assert table["level"].unique().tolist() == [0, 0.3]
    clean = table[(table["trained_with_noise"] > 0) & (table["level"] == 0)].squeeze()
    assert clean["accuracy"] == pytest.approx(trained.load("binary.metrics")["test"]["accuracy"])
    twin, model = trained.load("binary.noise_twin").description, trained.load("binary.model").description
    different = {key for key in model.parameters if model.parameters[key] != twin.parameters[key]}
    assert different <= {"noise", "pretrained", "batch_norm"}
    assert (model.weights, model.split_fingerprint) == (twin.weights, twin.split_fingerprint)


def test_stage_serves_the_task_that_has_a_model_and_names_the_command_for_the_other(project, caplog):
    project.run("binary_model")
    project.run("evaluation")
    assert "The multi task is left out" in caplog.text
    assert "`kedro run --pipeline=multi_model`" in caplog.text
    assert project.load("binary.metrics")["data_source"] == "sample"
    first = min((project.data / "01_raw" / "sample" / "test_images").iterdir())
    project.run("explain", {"explain": {"images": str(first)}})
    assert "The pipeline explain_binary is run in its place" in caplog.text
    assert project.load("binary.explained_sheets")["image_id"].tolist() == [first.name]


def test_stage_without_any_model_names_the_commands(project):
    project.run("splits")
    with pytest.raises(InputError, match=r"`kedro run --pipeline=binary_model`.*`kedro run --pipeline=multi_model`"):
        project.run("noise_robustness")


def test_stages_refuse_a_model_of_another_split_before_they_write_anything(trained, make_project):
    other = make_project()
    shutil.copytree(trained.data, other.data)
    other.run("splits", {"seed": 5})
    for stage in ("inspection", "interpretation", "stain_audit"):
        before = {path for path in other.data.rglob("*") if path.is_file()}
        with pytest.raises(InputError, match=r"^binary\.model: .*its split differ"):
            other.run(stage)
        assert {path for path in other.data.rglob("*") if path.is_file()} == before


def test_explanations_are_scored_beside_controls(trained):
    table = trained.load("multi.attribution_scores")
    contract = [
        "method",
        "kind",
        "recall",
        "precision",
        "iou",
        "dice",
        "dice_low",
        "dice_high",
        "gain",
        "gain_low",
        "gain_high",
    ]
    contract += ["pointing_game", "pixel_ap", "ms_per_image", "n"]
    assert table.columns[: len(contract)].tolist() == contract
    assert {"lime", "deepshap", "hirescam", "local_contrast", "gradcam_random_network"} <= set(table["method"])
    maps, index = trained.load("multi.attribution_maps"), trained.load("multi.attribution_index")
    assert maps.shape == (len(index), 64, 400)
    split = trained.load("multi.split").set_index("row")["split"]
    assert (split[~split.index.duplicated()][index["row"]].to_numpy() == index["split"]).all()
    for figure in (
        "attribution_gallery",
        "attribution_ranking",
        "attribution_examples",
        "attribution_faithfulness_curves",
        "class_evidence",
        "error_analysis",
    ):
        assert trained.load(f"multi.{figure}").width > 600
    gains = trained.load("multi.attribution_gains")
    assert set(gains["control"]) == set(table.loc[table["kind"] == "control", "method"])
    assert {"seed_correlation", "noise_iou", "beats_every_control"} <= set(table.columns)
    assert "random" in set(trained.load("multi.attribution_faithfulness")["method"])
    edge = trained.load("multi.edge_hypothesis")
    assert list(edge["outputs"]) == trained.load("multi.model").description.outputs[1:]
    assert edge["n"] == len(trained.load("multi.predictions"))


def test_models_of_one_source_explain_the_sheets_of_another(trained, make_project):
    """The same raw sheets under another name stand for a user's own, which no model was trained on."""
    other = make_project(data_root=str(trained.data), data_source="other", model_source="sample")
    raw = trained.data / "01_raw"
    (raw / "other").symlink_to(raw / "sample", target_is_directory=True)
    with pytest.raises(InputError, match="model_source is 'sample'"):
        other.run("binary_model")
    other.run("splits")
    other.run("evaluation", namespaces=["binary"])
    other.run("interpretation", namespaces=["binary"])
    metrics = other.load("binary.metrics")
    assert (metrics["data_source"], metrics["model_trained_on"]) == ("other", "sample")
    assert metrics["n_train_by_class"] is None
    assert other.load("binary.attribution_scores")["n"].max() > 0
    assert (trained.data / "06_models" / "other").exists() is False


def test_layers_are_probed_embedded_and_compared(trained):
    for task, n_outputs in (("binary", 2), ("multi", 5)):
        probe = trained.load(f"{task}.layer_probe")
        assert probe["module"].iloc[0] == "features.0"
        assert set(probe["area"]) == {"features", "classifier"}
        assert probe[["accuracy", "random_network_accuracy", "shuffled_accuracy"]].notna().all(axis=None)
        assert trained.load(f"{task}.layer_embedding_points")["label"].max() < n_outputs
        neurons = trained.load(f"{task}.neurons")
        assert set(neurons["mode"]) == {"plain", "multi_scale"}
        for figure in ("layer_probe_curve", "layer_embedding", "neuron_gallery", "neuron_scores", "layer_shap"):
            assert trained.load(f"{task}.{figure}").width > 600
    transfer = trained.load("weight_transfer")
    assert set(zip(transfer["receiver"], transfer["donor"], strict=True)) == {
        ("binary", "multi"),
        ("binary", "random"),
        ("multi", "binary"),
        ("multi", "random"),
    }
    assert set(trained.load("layer_similarity")["second"]) == {"multi", "random"}
    assert trained.load("weight_transfer_curve").width > 600


def test_audit_says_one_of_three_words_and_never_tests_too_few_sheets(trained):
    for task in ("binary", "multi"):
        record = trained.load(f"{task}.stain_audit")
        assert record["verdict"] in ("shortcut", "no evidence", "not testable")
        assert record["data_source"] == "sample"
        if min(record["group_sizes"].values()) < record["min_group"]:
            assert record["p_value"] is None
        assert list(trained.load(f"{task}.attribute_audits")) == ["black_edge"]
        assert trained.load(f"{task}.stain_examples").width > 600
        assert trained.load(f"{task}.stain_distributions").width > 600


def test_an_attribute_of_the_users_own_is_audited(trained):
    index = trained.load("sheet_index")
    path = trained.data / "01_raw" / "sample" / "attribute.csv"
    index.assign(attribute=index["row"] % 2)[["image_id", "attribute"]].to_csv(path, index=False)
    try:
        trained.run("stain_audit", node_names=["binary.audit_attributes"])
        listed = trained.load("binary.attribute_audits")["listed"]
        assert listed["attribute"] == "listed"
        assert sum(listed["group_sizes"].values()) > 0
    finally:
        path.unlink()


def test_remedied_model_differs_in_the_stains_alone(trained):
    trained.run("stain_remedy", namespaces=["binary"])
    table = trained.load("binary.stain_remedy").set_index("state")
    assert table["stain_augmentation"].to_dict() == {"before": 0, "after": 0.5}
    assert table.loc["before", "auc"] == pytest.approx(trained.load("binary.metrics")["test"]["auc"])
    model, remedied = (trained.load(f"binary.{name}").description for name in ("model", "remedied_model"))
    different = {key for key in model.parameters if model.parameters[key] != remedied.parameters[key]}
    assert {"stain_augmentation"} <= different <= {"stain_augmentation", "pretrained", "batch_norm"}


@pytest.mark.slow
def test_known_answer_check_audits_every_sample_and_goes_on_behind_the_finished_ones(project):
    project.run("stain_audit_check")
    table = project.load("stain_audit_check")
    assert table[["condition", "seed"]].to_numpy().tolist() == [["planted", 1], ["equal", 1]]
    assert set(table["verdict"]) <= {"shortcut", "no evidence", "not testable"}
    begin = time.monotonic()
    project.run("stain_audit_check")
    assert time.monotonic() - begin < table["seconds_training"].sum()
    again = project.load("stain_audit_check")
    assert again["seconds_training"].tolist() == table["seconds_training"].tolist()
