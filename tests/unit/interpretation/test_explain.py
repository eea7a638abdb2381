import pickle
import time
from collections import OrderedDict
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

from steel_xai import plots
from steel_xai.attribution import Options, attribute, prepare
from steel_xai.batches import normalise
from steel_xai.config import TaskConfigLoader
from steel_xai.datasets.table import CSVDataset
from steel_xai.errors import InputError
from steel_xai.evaluation.attribution_scores import COLUMNS
from steel_xai.evaluation.attribution_table import CONTROLS, choose_thresholds, tabulate, winning_method
from steel_xai.inference import predict
from steel_xai.interpretation import explain as explanations
from steel_xai.interpretation.checks import check_faithfulness, check_stability
from steel_xai.interpretation.explain import choose_sheets, explain_sheets, options_on
from steel_xai.interpretation.maps import load_maps, shown_rows
from steel_xai.parameters import InterpretationParameters
from steel_xai.training import train_classifier

CONF = Path(__file__).parents[3] / "conf"


@pytest.fixture
def parameters():
    """Those of the test environment, with methods that need little time."""
    values = TaskConfigLoader(str(CONF), base_env="base", env="test", merge_strategy={"parameters": "soft"})[
        "parameters"
    ]
    changed = {
        "methods": ["gradcam", "guided_backprop", "lime"],
        "ensembles": {"both": ["gradcam", "guided_backprop"]},
        "sheets": {"test": 6, "validation": 4, "lime": 5, "random_network": 6},
    }
    return InterpretationParameters.model_validate({**values["interpretation"], **changed})


@pytest.fixture
def masks():
    """Where ``fake_sheets`` has its bright squares."""
    masks = np.zeros((60, 64, 40), np.uint8)
    masks[1::2, 20:36, 10:26] = 1
    return masks


@pytest.fixture
def trained(fake_sheets, fake_split, training_parameters, tmp_path):
    """A tiny classifier of bright squares, and its predictions."""
    classifier, _ = train_classifier(
        fake_sheets,
        fake_split,
        outputs=["no defect", "defect"],
        parameters=training_parameters.model_copy(update={"epochs": 8, "learning_rate": 0.02}),
        seed=0,
        folder=tmp_path / "training",
        data_source="fake",
    )
    return classifier, predict(classifier, fake_sheets, fake_split, batch_size=8, device="cpu")


@pytest.fixture
def explained(trained, fake_sheets, fake_split, masks, parameters, tmp_path):
    """Run the explanation in a folder, with changed parameters; its maps and index."""
    classifier, predictions = trained
    chosen = choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0)
    (tmp_path / "work").mkdir()

    def run(batch_size=8, **changes):
        options = parameters.options.model_copy(update={"batch_size": batch_size})
        changed = parameters.model_copy(update={"options": options, **changes})
        path, index = explain_sheets(
            classifier, fake_sheets, fake_split, chosen, changed, device="cpu", folder=tmp_path / "work"
        )
        return np.load(path, allow_pickle=False), index

    return run


def test_chosen_sheets_have_a_defect_and_a_mask(trained, masks, parameters):
    _, predictions = trained
    masks[49] = 0  # a defect without a mask
    chosen = choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0)
    assert chosen["split"].value_counts().to_dict() == {"validation": 4, "test": 5}
    assert (chosen["label"] == 1).all()
    assert 49 not in chosen["row"].tolist()
    assert chosen.equals(choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0))


def test_without_masks_sheets_are_chosen_by_label_alone(trained, masks, parameters):
    _, predictions = trained
    chosen = choose_sheets(predictions, shown_rows(masks[:0], 60), parameters, seed=0)
    assert chosen.equals(choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0))  # all have a mask
    with pytest.raises(InputError, match="no validation sheet has a defect and a mask"):
        choose_sheets(predictions, shown_rows(0 * masks, 60), parameters, seed=0)


def test_stored_maps_are_those_of_the_engine(explained, trained, fake_sheets, parameters):
    maps, index = explained()
    values, part = load_maps(maps, index, "guided_backprop", "test")
    images = normalise(torch.from_numpy(fake_sheets[part["row"]]))
    (expected,) = attribute(
        trained[0].network,
        images,
        torch.from_numpy(part["target"].to_numpy(copy=True)),
        methods=["guided_backprop"],
        options=Options(),
        baselines=None,
        seeds=[0] * len(images),
    ).values()
    np.testing.assert_allclose(values, expected, atol=1e-3 * np.abs(expected).max())
    counts = index.groupby("name").size().to_dict()
    assert counts == {
        "gradcam": 10,
        "guided_backprop": 10,
        "lime": 9,
        "gradcam_random_network": 10,
        "guided_backprop_random_network": 10,
    }
    assert (index["ms_per_image"] > 0).all()


@pytest.mark.parametrize(("method", "n_sent"), [("gradcam", 0), ("deepshap", 30)])
def test_baselines_are_sent_to_workers_for_deepshap_alone(
    trained, fake_sheets, fake_split, masks, parameters, monkeypatch, tmp_path, method, n_sent
):
    classifier, predictions = trained
    chosen = choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0)
    sent = []

    def keep(function, count, take, **_):
        sent.append(pickle.dumps(take(slice(0, 1))[0]))
        yield from ()

    monkeypatch.setattr(explanations, "BACKGROUND", 30)
    monkeypatch.setattr(explanations, "runs_elsewhere", lambda: True)
    monkeypatch.setattr(explanations, "map_batches", keep)
    alone = parameters.model_copy(update={"methods": [method]})
    with pytest.raises(FileNotFoundError):  # no worker has made a chunk
        explain_sheets(classifier, fake_sheets, fake_split, chosen, alone, device="cpu", folder=tmp_path)
    size_of_baseline = 3 * fake_sheets[0].size * 4
    network = sum(weight.nbytes for weight in classifier.network.state_dict().values())
    assert n_sent * size_of_baseline <= len(sent[0]) - network < (n_sent + 1) * size_of_baseline
    assert len(pickle.loads(sent[0]).baselines) == n_sent


def test_killed_explanation_goes_on_behind_its_finished_chunks(explained, monkeypatch):
    whole, index = explained(batch_size=2)
    calls = []

    def counting(*arguments, **options):
        explain = prepare(*arguments, **options)

        def counted(images, targets, seeds):
            calls.append(len(images))
            if len(calls) == killed_at:
                raise RuntimeError("killed")
            return explain(images, targets, seeds)

        return counted

    monkeypatch.setattr(explanations, "prepare", counting)
    killed_at = -1
    explained(batch_size=2)
    needed, killed_at = len(calls), len(calls) - 1
    calls.clear()
    with pytest.raises(RuntimeError, match="killed"):
        explained(batch_size=2)
    calls.clear()
    again, resumed_index = explained(batch_size=2)
    assert 0 < len(calls) < needed / 2
    np.testing.assert_array_equal(again, whole)
    assert index.drop(columns="ms_per_image").equals(resumed_index.drop(columns="ms_per_image"))


@pytest.mark.parametrize("damage", ["empty", "cut", "flipped", "text"])
def test_damaged_chunk_is_made_anew_with_a_warning(explained, monkeypatch, tmp_path, caplog, damage):
    with monkeypatch.context() as killed:
        killed.setattr("shutil.rmtree", lambda folder: None)  # as if the run had been killed at its end
        whole, _ = explained(batch_size=4)
    path = sorted((tmp_path / "work").glob("chunks-*/*.npz"))[1]
    content, middle = path.read_bytes(), path.stat().st_size // 2
    flipped = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"empty": b"", "cut": content[:middle], "flipped": flipped, "text": b"none"}[damage])
    caplog.clear()
    again, _ = explained(batch_size=4)
    np.testing.assert_array_equal(again, whole)
    (warning,) = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert str(path) in warning


@pytest.fixture
def checked(explained, trained, fake_sheets, fake_split, masks, parameters):
    """Thresholds and stability of the explanations, with the maps."""
    maps, index = explained()
    thresholds = choose_thresholds(maps, index, fake_sheets, masks, task="binary", parameters=parameters, seed=0)
    stability = check_stability(
        trained[0], fake_sheets, fake_split, maps, index, thresholds, parameters, device="cpu"
    ).set_index("method")
    return maps, index, thresholds, stability


def test_table_ranks_methods_beside_controls(checked, fake_sheets, masks, parameters):
    maps, index, thresholds, stability = checked
    sheet_index = pd.DataFrame({"row": np.arange(60), "label_1": np.arange(60) % 2})
    tables = tabulate(
        maps,
        index,
        fake_sheets,
        masks,
        sheet_index,
        thresholds,
        stability.reset_index(),
        class_names=["pit"],
        parameters=parameters,
        seed=0,
    )
    table = tables.scores.set_index("method")
    assert tables.scores.columns[: len(COLUMNS)].tolist() == list(COLUMNS)
    assert set(table.index[table["kind"] == "method"]) == {"gradcam", "guided_backprop", "lime", "both"}
    assert {*CONTROLS, "both_random_network"} <= set(table.index[table["kind"] == "control"])
    assert table.loc["lime", "n"] == 5
    assert table.loc["gradcam", "n"] == 6
    assert (
        table.drop(columns=["ms_per_image"])[["recall", "precision", "iou", "dice", "pixel_ap"]].notna().all(axis=None)
    )
    assert table.loc["local_contrast", "gain"] == 0
    assert set(tables.by_class["class_name"]) == {"pit"}
    assert len(tables.by_sheet) == table["n"].sum()
    assert table.loc["lime", "seed_correlation"] == stability.loc["lime", "seed_correlation"]
    pairs = tables.gains.groupby("method").size()
    assert (pairs == (table["kind"] == "control").sum()).all()
    over_contrast = tables.gains[tables.gains["control"] == "local_contrast"].set_index("method")["dice_gain"]
    assert over_contrast["gradcam"] == pytest.approx(table.loc["gradcam", "gain"])
    assert table.loc["gradcam", "beats_every_control"] in (True, False)


def test_only_lime_and_noise_change_these_maps(checked):
    _, _, _, stability = checked
    assert stability.loc[["gradcam", "guided_backprop"], "seed_correlation"].tolist() == pytest.approx([1, 1])
    assert stability.loc["lime", "seed_correlation"] < 1
    assert 0.9 < stability.loc["guided_backprop", "noise_correlation"] < 1


def test_thresholds_are_chosen_on_validation_sheets_alone(checked, fake_sheets, masks, parameters):
    maps, index, thresholds, _ = checked
    test = index[index["split"] == "test"]
    changed = maps.copy()
    changed[test["map"]] = 0
    masks[test["row"]] = 255
    again = choose_thresholds(changed, index, fake_sheets, masks, task="binary", parameters=parameters, seed=0)
    pd.testing.assert_frame_equal(again, thresholds)
    assert winning_method(thresholds, index) in ("gradcam", "guided_backprop", "lime")


def test_without_masks_thresholds_are_the_studys(checked, fake_sheets, masks, parameters):
    maps, index, _, _ = checked
    table = choose_thresholds(maps, index, fake_sheets, masks[:0], task="binary", parameters=parameters, seed=0)
    assert set(zip(table["k"], table["k_chosen_on"], table["n_validation"], strict=True)) == {(2.0, "study", 0)}
    assert table["validation_dice"].isna().all()


def test_curves_of_the_stored_maps_start_and_end_at_the_networks_answers(
    explained, trained, fake_sheets, fake_split, parameters
):
    maps, index = explained()
    classifier, predictions = trained
    found = check_faithfulness(classifier, fake_sheets, fake_split, maps, index, parameters, device="cpu")
    assert set(found.curves["method"]) == {"gradcam", "guided_backprop", "lime", "random"}
    p = predictions.set_index("row")["p_1"]
    whole = found.curves[(found.curves["curve"] == "deletion") & (found.curves["share"] == 0)]
    np.testing.assert_allclose(whole["probability"], p[whole["image"]], atol=1e-5)
    assert set(found.areas["method"]) == set(found.curves["method"])
    assert set(found.randomisation["method"]) == {"gradcam", "guided_backprop"}
    assert found.randomisation["depth"].max() == 3
    assert found.completeness.empty  # none of these methods is complete
    assert found.completeness.columns.tolist() == ["method", "error", "mean_error", "n"]


def test_completeness_is_measured_of_the_methods_asked_for(explained, trained, fake_sheets, fake_split, parameters):
    methods = ["deeplift", "deepshap"]
    asked = parameters.model_copy(update={"methods": methods, "ensembles": {}})
    maps, index = explained(methods=methods)
    found = check_faithfulness(trained[0], fake_sheets, fake_split, maps, index, asked, device="cpu")
    assert found.completeness["method"].tolist() == methods
    assert (found.completeness["error"] < 1e-4).all()


def test_lime_alone_leaves_empty_tables_that_can_be_read_again_and_drawn(
    explained, trained, fake_sheets, fake_split, parameters, tmp_path
):
    alone = parameters.model_copy(update={"methods": ["lime"], "ensembles": {}})
    maps, index = explained(methods=["lime"])
    assert set(index["name"]) == {"lime"}
    found = check_faithfulness(trained[0], fake_sheets, fake_split, maps, index, alone, device="cpu")
    read = []
    for name in ("randomisation", "completeness"):
        dataset = CSVDataset(filepath=str(tmp_path / f"{name}.csv"))
        dataset.save(getattr(found, name))
        read.append(dataset.load())
        assert read[-1].empty
        assert read[-1].columns.tolist() == getattr(found, name).columns.tolist()
    figure = plots.attribution_faithfulness(found.curves, read[0], data_source="fake")
    figure.savefig(BytesIO(), format="png")


def with_features(classifier, features):
    """The classifier with other feature maps before a linear layer; not trained."""
    torch.manual_seed(0)
    head = nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 2))
    return replace(classifier, network=nn.Sequential(OrderedDict(features=features, classifier=head)).eval())


def test_network_of_other_activations_is_explained_and_checked_by_the_methods_that_its_errors_leave(
    trained, fake_sheets, fake_split, masks, parameters, tmp_path
):
    _, predictions = trained
    classifier = with_features(trained[0], nn.Sequential(nn.Conv2d(3, 4, 3, stride=2), nn.SiLU()))
    chosen = choose_sheets(predictions, shown_rows(masks, 60), parameters, seed=0)

    def run(methods):
        asked = parameters.model_copy(update={"methods": methods, "ensembles": {}})
        path, index = explain_sheets(classifier, fake_sheets, fake_split, chosen, asked, device="cpu", folder=tmp_path)
        return check_faithfulness(classifier, fake_sheets, fake_split, np.load(path), index, asked, device="cpu")

    with pytest.raises(InputError, match=r"no rule for SiLU.* leave this method out"):
        run(["deeplift", "gradcam"])
    found = run(["gradcam", "integrated_gradients"])
    assert found.completeness["method"].tolist() == ["integrated_gradients"]
    assert set(found.randomisation["method"]) == {"gradcam", "integrated_gradients"}


@pytest.mark.parametrize("target", ["no defect", "defect"])
def test_named_output_is_explained_on_all_sheets(explained, target):
    _, index = explained(target=target)
    assert set(index["target"]) == {["no defect", "defect"].index(target)}
    assert set(index["label"]) == {1}


def test_target_that_the_model_has_no_output_of_is_refused_with_those_there_are(explained):
    with pytest.raises(InputError, match=r"interpretation\.target.*no output 'pit'; there are no defect, defect"):
        explained(target="pit")


def test_maps_do_not_depend_on_the_size_of_chunks(explained):
    (small, index), (large, other) = explained(batch_size=3), explained(batch_size=8)
    index, other = (table.sort_values(["name", "row"], ignore_index=True) for table in (index, other))
    about = ["name", "row", "split", "target"]
    assert index[about].equals(other[about])
    np.testing.assert_allclose(small[index["map"]].astype(float), large[other["map"]].astype(float), atol=1e-3)


def test_a_gpus_batches_are_larger_than_a_cpus(parameters):
    sizes = {name: options_on(torch.device(name), parameters.options).batch_size for name in ("cpu", "cuda")}
    assert sizes == {"cpu": parameters.options.batch_size, "cuda": parameters.options.cuda_batch_size}
    assert sizes["cuda"] > sizes["cpu"]


def test_preparation_of_a_method_is_not_timed(explained, monkeypatch):
    def slow(*arguments, **options):
        time.sleep(0.5)
        return prepare(*arguments, **options)

    monkeypatch.setattr(explanations, "prepare", slow)
    _, index = explained(methods=["gradcam"], ensembles={})
    assert (index["ms_per_image"] < 0.5 * 1000 / 8).all()


def test_pixels_go_by_a_maps_evidence_so_that_the_sign_of_a_gradient_does_not_count(
    explained, trained, fake_sheets, fake_split, parameters
):
    maps, index = explained()

    def areas(of_maps):
        found = check_faithfulness(trained[0], fake_sheets, fake_split, of_maps, index, parameters, device="cpu")
        return found.areas.set_index("method")["deletion"]

    plain, turned = areas(maps), areas(-maps)
    assert turned["guided_backprop"] == plain["guided_backprop"]
    assert turned["gradcam"] != plain["gradcam"]
