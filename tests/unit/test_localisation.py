import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.ndimage import gaussian_filter
from sklearn.metrics import average_precision_score

from steel_xai.localisation import (
    dice,
    local_contrast,
    median_deviation,
    pixel_average_precision,
    sheet_region,
    threshold_mask,
)


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


def test_threshold_is_mean_plus_k_deviations_of_each_map():
    # Mean 2, population sd sqrt(12): mean + 2 sd is 8.9, below 8 + 2 of the first and above 8.
    maps = np.array([[[0, 0, 0, 8]], [[0, 0, 0, 80]]], dtype=np.float32)
    assert threshold_mask(maps, 1.7).tolist() == [[[False, False, False, True]]] * 2
    assert not threshold_mask(maps, 1.8).any()


def test_dice_of_known_masks():
    found = np.array([[[1, 1, 0, 0]], [[1, 0, 0, 0]], [[0, 0, 0, 0]]])
    true = np.array([[[0, 1, 1, 0]], [[1, 0, 0, 0]], [[0, 0, 1, 0]]])
    assert dice(found, true).tolist() == [0.5, 1, 0]


def test_empty_mask_scores_nan():
    empty = np.zeros((1, 2, 2), dtype=np.uint8)
    assert np.isnan(dice(np.ones((1, 2, 2)), empty)).all()
    assert np.isnan(pixel_average_precision(np.ones((1, 2, 2)), empty)).all()


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
