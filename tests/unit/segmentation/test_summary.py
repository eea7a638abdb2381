import numpy as np
import pandas as pd
import pytest

from steel_xai.segmentation.scores import count_pixels
from steel_xai.segmentation.summary import compare_losses, dice_of_sheets, in_words, summarise

NAMES = ["chips", "crack"]


def counts_of(predicted, truth, split="test", filtered=0):
    table = count_pixels(np.array(predicted, np.uint8), np.array(truth, np.uint8), np.arange(len(truth)), 3)
    return table.assign(split=split, filtered=filtered)


@pytest.fixture
def counts():
    """Three test sheets: half of class 1 found; class 2 found where there is none; nothing there and nothing found."""
    truth = [[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]]
    predicted = [[[1, 0, 0, 0]], [[0, 2, 0, 0]], [[0, 0, 0, 0]]]
    nothing = np.zeros((3, 1, 4))
    validation = counts_of(truth, truth, "validation")
    return pd.concat([validation, counts_of(predicted, truth), counts_of(nothing, truth, filtered=1)])


def summarised(counts):
    return summarise(counts, NAMES, n_samples=100, seed=0)


def test_both_means_and_both_filters_are_named(counts):
    summary = summarised(counts)
    dice = summary["without_filter"]["dice"]
    everywhere, present = dice["all_sheets"], dice["sheets_with_class"]
    assert everywhere["by_class"]["chips"]["mean"] == pytest.approx((2 / 3 + 1 + 1) / 3)
    assert everywhere["by_class"]["crack"]["mean"] == pytest.approx((1 + 0 + 1) / 3)
    assert everywhere["mean"]["mean"] == pytest.approx((2 / 3 + 1 + 1 + 0 + 1 + 1) / 6)
    assert present["by_class"]["chips"] == {"mean": pytest.approx(2 / 3), **both(2 / 3), "n": 1}
    assert present["by_class"]["crack"] == {"mean": None, "low": None, "high": None, "n": 0}
    assert present["mean"]["n"] == 1
    assert summary["with_filter"]["dice"]["sheets_with_class"]["mean"]["mean"] == 0
    assert summary["with_filter"]["dice"]["all_sheets"]["by_class"]["crack"]["mean"] == 1


def both(value):
    return {"low": pytest.approx(value), "high": pytest.approx(value)}


def test_scatter_and_number_of_classes(counts):
    summary = summarised(counts)["without_filter"]
    assert summary["pixel_accuracy"]["mean"] == pytest.approx((3 / 4 + 3 / 4 + 1) / 3)
    assert summary["components"]["mean"] == summary["isolated_pixels"]["mean"] == pytest.approx(2 / 3)
    assert summary["isolated_share"] == 1
    assert summary["sheets_by_number_of_classes"] == [[1, 1, 0], [0, 1, 0], [0, 0, 0]]
    assert summary["number_of_classes_accuracy"] == pytest.approx(2 / 3)


def test_means_lie_in_their_intervals_and_count_the_test_sheets_only(counts):
    for summary in summarised(counts).values():
        for score in ("dice", "iou"):
            mean = summary[score]["all_sheets"]["mean"]
            assert mean["low"] <= mean["mean"] <= mean["high"]
            assert mean["n"] == 3


def test_dice_of_a_sheet_is_the_mean_of_its_own_classes(counts):
    dice = dice_of_sheets(counts, "test")
    assert dice.index.tolist() == [0, 1, 2]
    np.testing.assert_allclose(dice, [2 / 3, np.nan, np.nan])
    assert dice_of_sheets(counts, "validation")[0] == 1


def test_mean_in_words_has_its_interval_and_number_of_sheets():
    assert in_words({"mean": 0.25, "low": 0.1, "high": 0.51234, "n": 7}) == "0.250 [0.100, 0.512] (n = 7)"
    assert in_words({"mean": None, "low": None, "high": None, "n": 0}) == "undefined (n = 0)"


SHEETS = 20
TRUTH = np.tile([[1, 1, 0, 0]], (SHEETS, 1, 1))
SCATTERED = np.tile([[1, 0, 2, 0]], (SHEETS, 1, 1))
HALF = np.tile([[1, 0, 0, 0]], (SHEETS, 1, 1))
NOTHING = np.zeros_like(TRUTH)
FALSE_ONLY = np.tile([[0, 0, 2, 0]], (SHEETS, 1, 1))
TRUE_AND_FALSE = np.tile([[1, 1, 2, 0]], (SHEETS, 1, 1))
FALSE_ON_EVERY_OTHER = np.where(np.arange(SHEETS)[:, None, None] % 2, TRUE_AND_FALSE, TRUTH)


@pytest.mark.parametrize(
    ("cross_entropy", "soft_dice", "verdict"),
    [
        (TRUTH, SCATTERED, "smooth Dice appears here"),
        (SCATTERED, TRUTH, "is reversed here"),
        (TRUTH, TRUTH, "does not appear here"),
        (TRUTH, HALF, "smooth Dice appears in part here"),
    ],
)
def test_sentence_says_what_the_paired_differences_show(cross_entropy, soft_dice, verdict):
    comparison = compare_losses(counts_of(cross_entropy, TRUTH), counts_of(soft_dice, TRUTH), n_samples=100, seed=0)
    assert verdict in comparison["sentence"]
    assert f"n = {SHEETS} test sheets" in comparison["sentence"]


def test_fewer_false_classes_for_lower_dice_are_a_contradiction():
    # Dice over all sheets: 1/2 for the class that is not there, against 1 and 1/2 in turn
    assert sentence_of(NOTHING, FALSE_ON_EVERY_OTHER).startswith(
        "The scores contradict each other here on the study's finding that cross-entropy is cleaner than smooth Dice "
        "(fewer classes that are not there, but lower Dice over all sheets, lower Dice over the sheets with a class): "
    )


def test_more_false_classes_for_higher_dice_are_a_contradiction():
    assert (
        "(higher Dice over all sheets, higher Dice over the sheets with a class, but more classes that are not there)"
        in sentence_of(FALSE_ON_EVERY_OTHER, NOTHING)
    )


def test_network_that_finds_nothing_is_not_called_clean_for_its_dice_over_empty_sheets():
    truth = np.where(np.arange(SHEETS)[:, None, None] < SHEETS // 4, TRUTH, 0)
    cries_wolf = np.where(truth.any(axis=(1, 2), keepdims=True), truth, FALSE_ONLY)
    assert (
        "(fewer classes that are not there, higher Dice over all sheets, but lower Dice over the sheets with a class)"
        in sentence_of(NOTHING, cries_wolf, truth)
    )


def test_sentence_stands_without_a_sheet_with_a_class():
    sentence = sentence_of(NOTHING, FALSE_ONLY, NOTHING)
    assert "smooth Dice appears here" in sentence
    assert sentence.endswith("over the sheets with a class its Dice differs by nothing that is known.")


def test_sentence_names_the_state_of_the_filter():
    assert "here: without the filter of small components, on n = 20 test sheets" in sentence_of(TRUTH, SCATTERED)


def sentence_of(cross_entropy, soft_dice, truth=TRUTH):
    tables = counts_of(cross_entropy, truth), counts_of(soft_dice, truth)
    return compare_losses(*tables, n_samples=100, seed=0)["sentence"]


def test_differences_are_cross_entropy_less_smooth_dice():
    comparison = compare_losses(counts_of(TRUTH, TRUTH), counts_of(SCATTERED, TRUTH), n_samples=100, seed=0)
    assert comparison["dice_all_sheets"]["mean"] == pytest.approx(1 - (2 / 3 + 0) / 2)
    assert comparison["dice_sheets_with_class"]["mean"] == pytest.approx(1 - 2 / 3)
    assert comparison["components"]["mean"] == pytest.approx(1 - 2)
    assert comparison["isolated_pixels"]["mean"] == pytest.approx(0 - 2)
    assert comparison["false_classes"]["mean"] == comparison["error_of_number_of_classes"]["mean"] == 0 - 1


def test_network_that_finds_nothing_is_not_called_scattered():
    comparison = compare_losses(counts_of(TRUTH, TRUTH), counts_of(np.zeros_like(TRUTH), TRUTH), n_samples=100, seed=0)
    assert comparison["false_classes"]["mean"] == 0
    assert comparison["error_of_number_of_classes"]["mean"] == -1
    assert "appears in part here" in comparison["sentence"]
