import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, jaccard_score, precision_score, recall_score

from steel_xai.localisation import (
    centre_prior,
    dice,
    iou,
    local_contrast,
    mean_rank,
    median_deviation,
    near_black_edge,
    noise,
    pixel_average_precision,
    pointing_game,
    precision,
    recall,
    relevance_mass,
    sheet_region,
    smooth,
    threshold_mask,
)

MAP_SCORES = (pixel_average_precision, pointing_game, relevance_mass)
MASK_SCORES = (recall, precision, iou, dice)


def test_median_deviation_of_a_known_sheet():
    sheet = np.full((1, 3, 3), 50, dtype=np.uint8)
    sheet[0, 0, 0], sheet[0, 2, 1] = 80, 20
    expected = np.zeros((1, 3, 3))
    expected[0, 0, 0] = expected[0, 2, 1] = 30
    assert median_deviation(sheet).tolist() == expected.tolist()


def test_median_leaves_out_the_black_end():
    sheet = np.full((1, 4, 20), 100, dtype=np.uint8)
    sheet[:, :, :12] = 3
    assert median_deviation(sheet).max() == 0


def test_black_end_joins_a_side_and_a_dark_column_inside_does_not():
    sheet = np.full((1, 4, 20), 100, dtype=np.uint8)
    sheet[:, :, :3] = sheet[:, :, 10] = 2
    assert np.flatnonzero(~sheet_region(sheet)[0, 0]).tolist() == [0, 1, 2, 3, 4]


def test_black_end_on_the_right_is_widened_to_the_left():
    sheet = np.full((1, 4, 20), 100, dtype=np.uint8)
    sheet[:, :, 18:] = 2
    assert np.flatnonzero(~sheet_region(sheet)[0, 0]).tolist() == [16, 17, 18, 19]


def test_sheet_that_is_all_black_gives_zero_maps():
    sheet = np.zeros((1, 8, 20), dtype=np.uint8)
    assert median_deviation(sheet).max() == 0
    assert local_contrast(sheet).max() == 0


def test_local_contrast_is_zero_on_even_sheet_beside_a_black_end():
    sheet = np.full((1, 64, 100), 90, dtype=np.uint8)
    sheet[:, :, :30] = 1
    assert local_contrast(sheet).max() == pytest.approx(0, abs=1e-3)


def test_local_contrast_equals_plain_filters_without_a_black_end():
    sheet = np.random.default_rng(0).integers(40, 200, (1, 32, 60)).astype(np.uint8)
    image = sheet[0].astype(float)
    slow = gaussian_filter(np.abs(image - gaussian_filter(image, 8)), 2)
    assert local_contrast(sheet)[0] == pytest.approx(slow, abs=0.01)


def test_maps_of_several_sheets_are_those_of_each():
    sheets = np.random.default_rng(0).integers(0, 255, (3, 16, 30)).astype(np.uint8)
    sheets[1, :, :10] = 0
    for trivial_map in (median_deviation, local_contrast):
        together = trivial_map(sheets)
        for i in range(3):
            assert together[i].tolist() == trivial_map(sheets[i : i + 1])[0].tolist()


def test_columns_near_the_black_edge_lie_on_both_sides_of_it():
    sheet = np.full((1, 4, 20), 100, dtype=np.uint8)
    sheet[:, :, :6] = 3
    assert np.flatnonzero(near_black_edge(sheet, 2)[0]).tolist() == [4, 5, 6, 7]
    assert np.flatnonzero(near_black_edge(sheet, 2.6)[0]).tolist() == [3, 4, 5, 6, 7, 8]
    assert np.flatnonzero(near_black_edge(sheet[:, :, ::-1], 2)[0]).tolist() == [12, 13, 14, 15]


def test_sheet_with_two_black_ends_has_two_edges():
    sheet = np.full((1, 4, 20), 100, dtype=np.uint8)
    sheet[:, :, :3] = sheet[:, :, 18:] = 3
    assert np.flatnonzero(near_black_edge(sheet, 1)[0]).tolist() == [2, 3, 17, 18]


@pytest.mark.parametrize("level", [0, 100])
def test_sheet_without_a_black_end_or_all_black_has_no_edge(level: int):
    sheet = np.full((1, 4, 20), level, dtype=np.uint8)
    sheet[:, :, 10] = 3  # a dark column inside is no end
    assert not near_black_edge(sheet, 30).any()


def test_centre_prior_is_symmetric_and_falls_with_the_distance_from_the_middle():
    maps = centre_prior((2, 8, 40))
    assert maps.shape == (2, 8, 40)
    assert np.unravel_index(maps[0].argmax(), (8, 40)) == (3, 19)
    np.testing.assert_allclose(maps[0], maps[1, ::-1, ::-1], rtol=1e-5)
    # One sd from the middle is a quarter of the side: 10 of 40 columns.
    assert centre_prior((1, 1, 41))[0, 0, 20 + 10] == pytest.approx(np.exp(-0.5 * (10 / (41 / 4)) ** 2))
    assert (np.diff(maps[0, 0, 20:]) < 0).all()


def test_noise_of_a_sheet_follows_from_seed_and_row_only():
    several = noise([4, 7], (3, 5), seed=1)
    assert noise([7], (3, 5), seed=1)[0].tolist() == several[1].tolist()
    assert several[0].tolist() != several[1].tolist() != noise([7], (3, 5), seed=2)[0].tolist()
    assert 0 <= several.min() <= several.max() < 1


def test_smoothing_blurs_each_map_within_itself():
    maps = np.zeros((2, 9, 15), dtype=np.float32)
    maps[0, 4, 7] = 1
    blurred = smooth(maps, 1)
    assert blurred[0] == pytest.approx(gaussian_filter(maps[0], 1), abs=1e-6)
    assert blurred[1].max() == 0
    assert smooth(maps, 0).tolist() == maps.tolist()


def test_mean_rank_is_the_mean_of_the_ranks_scaled_to_one():
    one = np.array([[[0, 10, 20, 30, 40]]], dtype=np.float32)
    other = np.array([[[9, 0, 0, 0, 9]]], dtype=np.float32)
    # Ranks from 0: 0 1 2 3 4 and 3.5 1 1 1 3.5; the mean of both, divided by 4.
    assert mean_rank([one, other])[0, 0] == pytest.approx([0.4375, 0.25, 0.375, 0.5, 0.9375])
    assert mean_rank([one])[0, 0].tolist() == [0, 0.25, 0.5, 0.75, 1]
    assert mean_rank([np.full((1, 2, 2), 3, dtype=np.float32)]).tolist() == np.full((1, 2, 2), 0.5).tolist()


def test_mean_rank_ranks_each_sheet_on_its_own():
    maps = np.random.default_rng(0).integers(0, 9, (2, 3, 6, 10)).astype(np.float32)
    ranks = [[rankdata(sheet).reshape(6, 10) - 1 for sheet in method] for method in maps]
    np.testing.assert_allclose(mean_rank(list(maps)), np.mean(ranks, axis=0) / 59, rtol=1e-6)


def test_threshold_is_mean_plus_k_deviations_of_each_map():
    # Mean 2, population sd sqrt(12): mean + 2 sd is 8.9, below 8 + 2 of the first and above 8.
    maps = np.array([[[0, 0, 0, 8]], [[0, 0, 0, 80]]], dtype=np.float32)
    assert threshold_mask(maps, 1.7).tolist() == [[[False, False, False, True]]] * 2
    assert not threshold_mask(maps, 1.8).any()


@pytest.mark.parametrize("value", [0, 0.1, 1e-30, 1e30])
@pytest.mark.parametrize("k", [0, 2])
def test_threshold_of_a_constant_map_gives_an_empty_mask(value: float, k: float):
    assert not threshold_mask(np.full((2, 64, 400), value, dtype=np.float32), k).any()


def test_threshold_does_not_depend_on_the_scale_of_the_map():
    maps = np.random.default_rng(0).random((3, 8, 20), dtype=np.float32)
    for scale in (2.0**-100, 2.0**100):  # squares of these leave single precision
        assert threshold_mask(maps * np.float32(scale), 1).tolist() == threshold_mask(maps, 1).tolist()


def test_scores_of_known_masks():
    found = np.array([[[1, 1, 1, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]])
    true = np.array([[[0, 1, 1, 1]], [[1, 1, 0, 0]], [[0, 0, 1, 0]]])
    assert recall(found, true).tolist() == [2 / 3, 1 / 2, 0]
    assert precision(found, true).tolist() == [2 / 3, 1, 0]
    assert iou(found, true).tolist() == [2 / 4, 1 / 2, 0]
    assert dice(found, true).tolist() == [4 / 6, 2 / 3, 0]


@settings(max_examples=50, deadline=None)
@given(masks=hnp.arrays(np.bool_, (2, 2, 3, 4)))
def test_scores_of_masks_equal_sklearns(masks: np.ndarray):
    found, true = masks
    oracles = (recall_score, precision_score, jaccard_score)
    for own, oracle in zip((recall, precision, iou), oracles, strict=True):
        for score, one, other in zip(own(found, true), found, true, strict=True):
            if other.any():
                assert score == pytest.approx(oracle(other.ravel(), one.ravel(), zero_division=0))
    defective = true.any(axis=(1, 2))
    assert dice(found, true)[defective] == pytest.approx((2 * iou(found, true) / (1 + iou(found, true)))[defective])


@pytest.mark.parametrize("score", [*MAP_SCORES, *MASK_SCORES])
def test_empty_mask_scores_nan_and_leaves_the_others_alone(score):
    truth = np.zeros((2, 2, 2), dtype=np.uint8)
    truth[1] = 1
    scores = score(np.ones((2, 2, 2), dtype=np.float32), truth)
    assert np.isnan(scores[0])
    assert scores[1] == 1


@pytest.mark.parametrize("score", [*MAP_SCORES, *MASK_SCORES])
def test_mask_of_the_whole_sheet_is_no_special_case(score):
    maps = np.array([[[0, 1], [0, 0]]], dtype=np.float32)
    assert score(maps, np.ones((1, 2, 2))) == (0.25 if score in (recall, iou) else 0.4 if score is dice else 1)


def test_pointing_game_asks_where_the_greatest_pixels_are():
    maps = np.array([[[1, 5, 2, 0]], [[1, 5, 2, 0]], [[5, 5, 0, 5]]], dtype=np.float32)
    truth = np.array([[[0, 1, 0, 0]], [[1, 0, 1, 1]], [[1, 0, 1, 0]]])
    assert pointing_game(maps, truth) == pytest.approx([1, 0, 1 / 3])


def test_relevance_mass_is_the_share_of_the_sum_inside():
    maps = np.array([[[1, 5, 2, 0]], [[3, 3, 3, 3]]], dtype=np.float32)
    truth = np.array([[[0, 1, 1, 0]], [[1, 0, 0, 0]]])
    assert relevance_mass(maps, truth) == pytest.approx([7 / 8, 1 / 4])


def test_empty_map_points_at_random_and_has_no_relevance_anywhere():
    truth = np.array([[[1, 0, 0, 0]]])
    empty = np.zeros((1, 1, 4), dtype=np.float32)
    assert relevance_mass(empty, truth).tolist() == [0]
    assert pointing_game(empty, truth).tolist() == [0.25]
    assert pixel_average_precision(empty, truth).tolist() == [0.25]
    assert dice(threshold_mask(empty, 0), truth).tolist() == [0]


def test_average_precision_of_a_known_ranking():
    # Hits at ranks 1 and 3: (1/1 + 2/3) / 2.
    values = np.array([[[0.9, 0.8, 0.7, 0.1]]])
    assert pixel_average_precision(values, np.array([[[1, 0, 1, 0]]])) == pytest.approx([5 / 6])


def test_constant_map_scores_the_masks_share():
    truth = np.array([[[1, 0, 0, 0]]])
    assert pixel_average_precision(np.full((1, 1, 4), 0.5), truth) == pytest.approx([0.25])


@settings(max_examples=80, deadline=None)
@given(
    values=hnp.arrays(np.int64, (2, 3, 5), elements=st.integers(0, 5)),
    truth=hnp.arrays(np.bool_, (2, 3, 5)),
)
def test_average_precision_equals_sklearn_with_ties(values: np.ndarray, truth: np.ndarray):
    scores = pixel_average_precision(values.astype(float), truth)
    for score, value, true in zip(scores, values, truth, strict=True):
        if true.any():
            assert score == pytest.approx(average_precision_score(true.ravel(), value.ravel()))
        else:
            assert np.isnan(score)
