"""The segmentation references: trained on masks, and scored beside the explanations of the models."""

import shutil

import pytest

from .conftest import Project

NETWORKS = ["fcn32_cross_entropy", "fcn32_soft_dice", "unet"]


@pytest.fixture(scope="module")
def segmented(trained, tmp_path_factory):
    """The trained project, with segmentation networks as well."""
    project = Project(tmp_path_factory.mktemp("segmented"))
    shutil.copytree(trained.data, project.data)
    project.run("segmentation")
    return project


def test_metrics_hold_both_means_of_every_network(segmented):
    metrics, split = segmented.load("segmentation.metrics"), segmented.load("multilabel.split")
    assert metrics["data_source"] == "sample"
    assert metrics["n_test"] == (split["split"] == "test").sum()
    assert list(metrics["networks"]) == NETWORKS
    for network in metrics["networks"].values():
        assert network["weights"] == "random"
        assert network["seconds_training"] > 0
        for state in ("without_filter", "with_filter"):
            dice = network[state]["dice"]
            assert dice["all_sheets"]["mean"]["n"] == metrics["n_test"] > dice["sheets_with_class"]["mean"]["n"] > 0
            assert len(dice["all_sheets"]["by_class"]) == 4
            matrix = network[state]["sheets_by_number_of_classes"]
            assert sum(map(sum, matrix)) == metrics["n_test"]
            assert [len(matrix), len(matrix[0])] == [5, 5]
    assert "smooth Dice" in metrics["cross_entropy_against_soft_dice"]["sentence"]


def test_networks_are_models_of_the_catalog(segmented):
    for name in NETWORKS:
        segmenter, history = (segmented.load(f"segmentation.{name}{part}") for part in ("", "_history"))
        assert segmenter.description.kind == "segmenter"
        assert segmenter.description.epochs_run == len(history)
    losses = [segmented.load(f"segmentation.{name}").description.loss for name in NETWORKS[:2]]
    assert losses == ["cross_entropy", "soft_dice"]


def test_figures_are_drawn(segmented):
    for figure in ("training_curves", "dice_by_class", "sheets_by_number_of_classes", "examples"):
        assert segmented.load(f"segmentation.{figure}").width > 600


@pytest.mark.parametrize("task", ["binary", "multi"])
def test_networks_are_scored_on_the_sheets_that_explanations_are_scored_on(segmented, task):
    from steel_xai.parameters import InterpretationParameters
    from steel_xai.segmentation.supervised import explained_sheets

    with segmented.session() as session:
        parameters = session.load_context().params
    interpretation = InterpretationParameters.model_validate(parameters[task]["interpretation"])
    drawn = explained_sheets(
        segmented.load(f"{task}.split"), segmented.load("masks"), interpretation, parameters["seed"]
    )
    index = segmented.load(f"{task}.attribution_index")
    for split in ("validation", "test"):
        explained = index.loc[index["split"] == split, "row"].unique()
        assert drawn.loc[drawn["split"] == split, "row"].tolist() == explained.tolist()


@pytest.mark.parametrize("task", ["binary", "multi"])
def test_networks_have_the_columns_of_explanations_and_the_same_control(segmented, task):
    supervised, explained = (segmented.load(f"{task}.{kind}_scores") for kind in ("supervised", "attribution"))
    assert supervised.columns.tolist() == explained.columns.tolist()
    assert supervised["method"].tolist() == NETWORKS
    assert set(supervised["kind"]) == {"supervised"}
    control = explained.set_index("method").loc["local_contrast"]
    assert (supervised["n"] == control["n"]).all()
    assert (supervised["dice"] - supervised["gain"]).to_list() == pytest.approx([control["dice"]] * 3)
    assert (supervised["pixel_ap"] - supervised["pixel_ap_gain"]).to_list() == pytest.approx([control["pixel_ap"]] * 3)


@pytest.mark.parametrize("task", ["binary", "multi"])
def test_no_sheet_that_a_task_tests_has_trained_the_networks(segmented, task):
    trained_on = segmented.load("multilabel.split").query("split == 'train'")["row"]
    tested = segmented.load(f"{task}.split").query("split == 'test'")["row"]
    assert not set(trained_on) & set(tested)
