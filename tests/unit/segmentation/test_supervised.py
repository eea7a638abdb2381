import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from tests.conftest import MODEL_YAML

from steel_xai.errors import InputError
from steel_xai.evaluation.attribution_scores import COLUMNS, mask_scores
from steel_xai.interpretation.explain import choose_sheets
from steel_xai.interpretation.maps import masked_rows
from steel_xai.parameters import InterpretationParameters
from steel_xai.segmentation.segmenter import Segmenter, SegmenterDescription
from steel_xai.segmentation.supervised import explained_sheets, probabilities, score_like_explanations

from .conftest import Oracle

BASE = MODEL_YAML.with_name("interpretation.yml")


@pytest.fixture
def interpretation():
    values = yaml.safe_load(BASE.read_text())["interpretation"]
    values |= {"sheets": {"test": 6, "validation": 3, "lime": 2, "random_network": 2}, "bootstrap_samples": 100}
    return InterpretationParameters.model_validate(values)


@pytest.fixture
def task_split(split):
    """Of a binary task that tests more sheets."""
    return split.assign(
        label=(split["label"] > 0).astype(int), split=["train"] * 14 + ["validation"] * 6 + ["test"] * 10
    )


@pytest.fixture
def scored(sheets, masks, task_split, split, interpretation):
    def run(segmenters=None, labels="any_defect", task_split=task_split, trained_on=None):
        segmentation_split = split.assign(split="test")
        if trained_on is not None:
            segmentation_split.loc[segmentation_split["row"].isin(trained_on), "split"] = "train"
        return score_like_explanations(
            segmenters or {"oracle": segmenter(Oracle())},
            sheets,
            masks,
            task_split,
            segmentation_split,
            labels=labels,
            parameters=interpretation,
            seed=3,
            timing_repeats=1,
            device="cpu",
        )

    return run


def segmenter(network):
    return Segmenter(network, SegmenterDescription.model_construct())


class Blind(torch.nn.Module):
    """Gives every pixel the same probabilities: 0.2 for the background."""

    def forward(self, images):
        odds = torch.log(torch.tensor([0.2, 0.5, 0.3]))
        return odds[:, None, None].expand(len(images), 3, *images.shape[2:])


def test_truth_scores_one_and_gains_what_local_contrast_lacks(scored):
    (row,) = scored().to_dict("records")
    assert (row["method"], row["kind"], row["n"], row["k_chosen_on"]) == ("oracle", "supervised", 6, "half")
    for score in ("recall", "precision", "iou", "dice", "pointing_game", "pixel_ap", "validation_dice"):
        assert row[score] == 1
    assert 0 < row["gain_low"] <= row["gain"] <= row["gain_high"] < 1
    assert row["beats_every_control"] is True
    assert row["ms_per_image"] > 0
    assert row["noise_iou"] == 1


def test_one_row_a_network_with_the_columns_of_explanations(scored):
    table = scored({"oracle": segmenter(Oracle()), "blind": segmenter(Blind())})
    assert table["method"].tolist() == ["oracle", "blind"]
    assert table.columns[: len(COLUMNS)].tolist() == list(COLUMNS)
    blind = table.iloc[1]
    assert (blind["recall"], blind["precision"]) == (1, pytest.approx(blind["pixel_ap"]))
    assert blind["beats_every_control"] is False


def test_evidence_of_any_defect_is_the_sum_over_the_classes_and_of_one_class_its_own():
    images, targets = torch.zeros(3, 3, 4, 4), np.array([1, 2, 1])
    anything = probabilities(Blind(), images, targets, "any_defect", 2)
    np.testing.assert_allclose(anything, 0.8, rtol=1e-6)
    one = probabilities(Blind(), images, targets, "single_class", 2)
    np.testing.assert_allclose(one[:, 0, 0], [0.5, 0.3, 0.5], rtol=1e-6)


def test_sheets_are_those_that_the_interpretation_draws_from_predictions(task_split, masks, interpretation):
    predictions = pd.concat([task_split[task_split["split"] == name] for name in ("validation", "test")])
    wrong = predictions.assign(predicted=1 - predictions["label"])
    drawn = choose_sheets(wrong, masked_rows(masks), interpretation, 3)
    again = explained_sheets(task_split, masks, interpretation, 3)
    columns = ["row", "image_id", "split", "label", "target"]
    pd.testing.assert_frame_equal(drawn[columns], again[columns])


def test_copies_are_never_scored(task_split, masks, interpretation):
    copies = task_split[task_split["split"] == "test"].assign(copy=1)
    twice = pd.concat([task_split, copies], ignore_index=True)
    drawn = explained_sheets(twice, masks, interpretation, 3)
    pd.testing.assert_frame_equal(drawn, explained_sheets(task_split, masks, interpretation, 3))


def test_sheets_that_trained_the_networks_are_refused_as_test_sheets(scored):
    with pytest.raises(InputError, match="trained on sheets that the task tests"):
        scored(trained_on=range(20, 30))


def test_validation_sheets_that_trained_the_networks_do_not_count(scored):
    assert scored(trained_on=range(14))["n_validation"].tolist() == [3]
    table = scored(trained_on=range(20))
    assert table["n_validation"].tolist() == [0]
    assert table["validation_dice"].isna().all()


def test_masks_are_scored_as_explanations_are():
    truth = np.zeros((2, 4, 4), bool)
    truth[0, :2] = True
    found = np.zeros((2, 4, 4), np.float32)
    found[0, 0] = 0.9
    table = mask_scores(found > 0.5, found, truth, [5, 6])
    assert table.index.tolist() == [5, 6]
    assert table.loc[5].to_dict() == {
        "recall": 0.5,
        "precision": 1,
        "iou": 0.5,
        "dice": pytest.approx(2 / 3),
        "pointing_game": 1,
        "relevance_mass": 1,
        "pixel_ap": pytest.approx((4 * 1 + 4 * 8 / 16) / 8),
    }
    assert table.loc[6].isna().all()
