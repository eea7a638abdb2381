import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter

from steel_xai.errors import InputError
from steel_xai.evaluation.attribution_scores import (
    CANDIDATE_THRESHOLDS,
    COLUMNS,
    choose_threshold,
    dice_by_threshold,
    score_table,
    score_table_by_class,
    sheet_scores,
)
from steel_xai.evaluation.published import STUDY_SCORES, study_threshold
from steel_xai.localisation import dice, threshold_mask

CONTRACT = [
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
    "pointing_game",
    "pixel_ap",
    "ms_per_image",
    "n",
]


def scored(dice_scores, rows=None, pixel_ap=0.5):
    """A table as `sheet_scores` returns it, whose scores but Dice and average precision are all one half."""
    rows = range(len(dice_scores)) if rows is None else rows
    halves = dict.fromkeys(["recall", "precision", "iou", "pointing_game", "relevance_mass"], 0.5)
    table = pd.DataFrame({"dice": dice_scores, "pixel_ap": pixel_ap, **halves}, index=pd.Index(rows, name="row"))
    return table.astype(float)


def described(*names, **more):
    about = {"ms_per_image": 2.0, "k": 2.0, "k_chosen_on": "study", **more}
    is_control = [name == "local_contrast" or name.endswith("_random_network") for name in names]
    kinds = np.where(is_control, "control", "method")
    return pd.DataFrame({"kind": kinds, **about}, index=list(names))


def tabulate(per_sheet, **more):
    table = score_table(per_sheet, described(*per_sheet, **more), n_samples=200, seed=0)
    return table.set_index("method")


@settings(max_examples=60, deadline=None)
@given(
    maps=hnp.arrays(np.float32, (2, 4, 6), elements=st.integers(0, 4).map(float)),
    truth=hnp.arrays(np.bool_, (2, 4, 6)),
    sigma=st.sampled_from([0, 1]),
)
def test_dice_at_all_thresholds_equals_that_at_each(maps: np.ndarray, truth: np.ndarray, sigma: float):
    ks = [0.0, 0.3, 1.0, 2.5]
    found = dice_by_threshold(maps, truth, sigma=sigma, ks=ks)
    blurred = np.stack([gaussian_filter(sheet, sigma) for sheet in maps]) if sigma else maps
    slow = np.stack([dice(threshold_mask(blurred, k), truth) for k in ks], axis=1)
    np.testing.assert_allclose(found, slow, rtol=1e-6)


def test_chosen_threshold_is_the_best_on_average_over_defective_sheets():
    # Mean 1.8, sd 3.43: the 7 lies 1.52 sd above the mean, the 10 lies 2.39.
    maps = np.array([[[0] * 7 + [7, 10, 1]]] * 3, dtype=np.float32)
    wide, narrow, empty = np.array([[[0] * 7 + [1, 1, 0]], [[0] * 8 + [1, 0]], [[0] * 10]])
    for truth, k in (([wide, empty], 0.0), ([narrow, empty], 1.6), ([wide, narrow, narrow], 1.6)):
        assert choose_threshold(maps[: len(truth)], np.stack(truth), sigma=0) == k


def test_candidates_run_from_zero_to_five_in_tenths():
    assert tuple(np.arange(0, 5.1, 0.1).round(1).tolist()) == CANDIDATE_THRESHOLDS


def test_threshold_of_sheets_without_masks_cannot_be_chosen():
    with pytest.raises(InputError, match="none of the 2 validation sheets given has a mask"):
        choose_threshold(np.ones((2, 3, 3), dtype=np.float32), np.zeros((2, 3, 3)), sigma=1)


def test_scores_of_a_sheet_by_hand():
    # Mean 2, sd 3.46: above mean + 1 sd is the 8 only.
    maps = np.array([[[0, 0, 0, 8]], [[1, 0, 0, 8]], [[0, 0, 0, 0]], [[0, 0, 0, 8]]], dtype=np.float32)
    truth = np.array([[[0, 0, 1, 1]], [[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]])
    table = sheet_scores(maps, truth, [5, 3, 8, 1], k=1, sigma=0)
    assert table.index.tolist() == [5, 3, 8, 1]
    expected = {
        "recall": [1 / 2, 0, 0],
        "precision": [1.0, 0, 0],
        "iou": [1 / 2, 0, 0],
        "dice": [2 / 3, 0, 0],
        "pointing_game": [1, 0, 1 / 4],
        "relevance_mass": [1, 1 / 9, 0],
        "pixel_ap": [(1 + 2 / 4) / 2, (1 / 2 + 2 / 4) / 2, 1 / 4],
    }
    pd.testing.assert_frame_equal(table.iloc[:3].reset_index(drop=True), pd.DataFrame(expected))
    assert table.iloc[3].isna().all()


def test_scores_are_taken_after_the_blur():
    maps = np.zeros((1, 9, 9), dtype=np.float32)
    maps[0, 4, 4] = 1
    truth = np.zeros((1, 9, 9))
    truth[0, 3:6, 3:6] = 1
    assert sheet_scores(maps, truth, [0], k=1, sigma=0)["recall"].item() == 1 / 9
    assert sheet_scores(maps, truth, [0], k=1, sigma=1)["recall"].item() == 1


def test_constant_map_scores_as_chance_does_whatever_the_blur():
    truth = np.zeros((1, 64, 400))
    truth[:, :16] = 1
    maps = np.full((1, 64, 400), 0.1, dtype=np.float32)
    scores = sheet_scores(maps, truth, [0], k=0, sigma=2).iloc[0]
    assert scores[["recall", "precision", "iou", "dice"]].tolist() == [0, 0, 0, 0]
    assert scores[["pointing_game", "relevance_mass", "pixel_ap"]].tolist() == pytest.approx([0.25] * 3)


@pytest.mark.parametrize("value", [-1.0, np.nan, np.inf])
def test_maps_that_are_no_evidence_are_refused(value: float):
    maps = np.zeros((2, 2, 2), dtype=np.float32)
    maps[1, 0, 0] = value
    with pytest.raises(ValueError, match="map 1 is no evidence"):
        sheet_scores(maps, np.ones((2, 2, 2)), [0, 1], k=1, sigma=0)


def test_table_has_the_columns_of_the_contract_first_and_those_it_is_given_last():
    table = score_table(
        {"gradcam": scored([0.5] * 6), "local_contrast": scored([0.3] * 6)},
        described("gradcam", "local_contrast", seed_correlation=[0.9, np.nan]),
        n_samples=20,
        seed=0,
    )
    assert table.columns[:15].tolist() == CONTRACT
    assert table.columns.tolist() == [*COLUMNS, "seed_correlation"]
    assert table[["method", "kind"]].to_numpy().tolist() == [["gradcam", "method"], ["local_contrast", "control"]]


def test_gain_is_paired():
    # Sheets differ widely, the method is better by the same on each: the gain is certain, the mean is not.
    base = np.linspace(0.1, 0.8, 8)
    table = tabulate({"local_contrast": scored(base), "gradcam": scored(base + 0.1, pixel_ap=0.7)})
    assert table.loc["gradcam", ["dice", "gain"]].tolist() == pytest.approx([base.mean() + 0.1, 0.1])
    assert table.loc["gradcam", ["gain_low", "gain_high"]].tolist() == pytest.approx([0.1, 0.1])
    assert table.loc["gradcam", "dice_high"] - table.loc["gradcam", "dice_low"] > 0.1
    assert table.loc["gradcam", ["pixel_ap", "pixel_ap_gain", "pixel_ap_gain_low"]].tolist() == pytest.approx(
        [0.7, 0.2, 0.2]
    )
    assert table.loc["local_contrast", ["gain", "gain_low", "gain_high"]].tolist() == [0, 0, 0]


def test_interval_of_the_mean_is_that_of_a_slow_bootstrap():
    values = np.array([0.1, 0.9, 0.4, 0.3, 0.6, 0.2])
    per_sheet = {"local_contrast": scored(values)}
    table = score_table(per_sheet, described("local_contrast"), n_samples=4000, seed=0)
    rng = np.random.default_rng(1)
    means = [rng.choice(values, 6).mean() for _ in range(4000)]
    np.testing.assert_allclose(
        table.loc[0, ["dice_low", "dice_high"]].tolist(), np.percentile(means, [2.5, 97.5]), atol=0.02
    )


def test_method_with_fewer_sheets_is_paired_on_its_own():
    control = scored(np.arange(10) / 10)
    table = tabulate({"local_contrast": control, "lime": scored(np.arange(4, 10) / 10 + 0.05, rows=range(4, 10))})
    assert table["n"].tolist() == [10, 6]
    assert table.loc["lime", "gain"] == pytest.approx(0.05)


def test_sheets_without_a_mask_do_not_count():
    with_empty = scored([0.2, np.nan, 0.4])
    with_empty.loc[1] = np.nan
    table = tabulate({"local_contrast": with_empty})
    assert table.loc["local_contrast", ["n", "dice"]].tolist() == pytest.approx([2, 0.3])


def test_few_sheets_have_no_intervals_and_prove_nothing():
    per_sheet = {
        "local_contrast": scored([0.1] * 4),
        "gradcam": scored([0.5] * 4),
        "gradcam_random_network": scored([0.1] * 4),
    }
    table = tabulate(per_sheet)
    assert table.loc["gradcam", "gain"] == pytest.approx(0.4)
    assert table.filter(regex="_(low|high)$").isna().all(axis=None)
    assert table.loc["gradcam", "beats_random_network"] is None


def test_method_beats_its_own_random_network_only_where_the_paired_gain_is_above_zero():
    rng = np.random.default_rng(0)
    base = rng.random(30)
    per_sheet = {
        "local_contrast": scored(base),
        "gradcam": scored(base + 0.2),
        "gradcam_random_network": scored(base),
        "deeplift": scored(rng.permutation(base)),
        "deeplift_random_network": scored(base),
        "lime": scored(base),
        "guided_backprop": scored(base - 0.2),
        "guided_backprop_random_network": scored(base),
    }
    table = tabulate(per_sheet)
    assert table["beats_random_network"].to_dict() == {
        "local_contrast": None,
        "gradcam": True,
        "gradcam_random_network": None,
        "deeplift": False,
        "deeplift_random_network": None,
        "lime": None,
        "guided_backprop": False,
        "guided_backprop_random_network": None,
    }
    assert table.loc["gradcam", "random_network_gain"] == pytest.approx(0.2)
    assert np.isnan(table.loc["lime", "random_network_gain"])


def test_table_is_the_same_after_a_way_through_csv(tmp_path):
    per_sheet = {"local_contrast": scored([0.1] * 6), "a": scored([0.5] * 6), "a_random_network": scored([0.1] * 6)}
    table = score_table(per_sheet, described(*per_sheet), n_samples=20, seed=0)
    table.to_csv(tmp_path / "scores.csv", index=False)
    read = pd.read_csv(tmp_path / "scores.csv")
    assert read["beats_random_network"].tolist()[1] is True
    pd.testing.assert_frame_equal(read.fillna(np.nan), table.fillna(np.nan), check_dtype=False)


def test_scores_of_unknown_or_unpaired_sheets_are_refused():
    control = scored([0.1] * 6)
    with pytest.raises(ValueError, match=r"differ in \['lime'\]"):
        score_table({"local_contrast": control}, described("local_contrast", "lime"), n_samples=9, seed=0)
    with pytest.raises(ValueError, match="lime was scored on sheets that local_contrast was not scored on"):
        tabulate({"local_contrast": control, "lime": scored([0.1], rows=[77])})


def test_table_by_class_averages_the_sheets_of_each_class():
    index = pd.DataFrame({"row": range(4), "label_1": [1, 1, 0, 0], "label_2": [0, 1, 1, 0], "label_3": 0})
    per_sheet = {"local_contrast": scored([0.2, 0.4, 0.8]), "lime": scored([0.3], rows=[0])}
    table = score_table_by_class(
        per_sheet, described(*per_sheet), index, ["pit", "crack", "scratch"], n_samples=9, seed=0
    )
    assert table.columns.tolist() == ["class", "class_name", *COLUMNS]
    assert table[["class", "class_name", "method", "n"]].to_numpy().tolist() == [
        [1, "pit", "local_contrast", 2],
        [1, "pit", "lime", 1],
        [2, "crack", "local_contrast", 2],
    ]
    assert table["dice"].tolist() == pytest.approx([0.3, 0.3, 0.6])
    assert table.loc[1, "gain"] == pytest.approx(0.1)


def test_published_scores_agree_with_themselves():
    for task, methods in STUDY_SCORES.items():
        for method, scores in methods.items():
            # Mean Dice cannot exceed what the mean IoU allows: Dice is a concave function of IoU.
            assert scores["iou"] < scores["dice"] <= 2 * scores["iou"] / (1 + scores["iou"]) + 0.001, (task, method)


def test_study_threshold_is_the_tasks_but_for_binary_deepshap():
    assert study_threshold("binary", "gradcam") == study_threshold("binary", "local_contrast") == 2
    assert study_threshold("binary", "deepshap") == 1.5
    assert study_threshold("multi", "deepshap") == study_threshold("multi", "layercam") == 3
    with pytest.raises(InputError, match="no threshold for the task 'multilabel'"):
        study_threshold("multilabel", "gradcam")
