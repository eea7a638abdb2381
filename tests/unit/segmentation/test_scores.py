import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.segmentation.scores import by_class, class_counts, count_pixels, sheet_means


def test_counts_of_a_sheet_by_hand():
    truth = np.array([[[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]], np.uint8)
    predicted = np.array([[[1, 1, 0, 2], [0, 0, 0, 0], [1, 0, 0, 2]]], np.uint8)
    table = count_pixels(predicted, truth, np.array([7]), 3)
    assert table["row"].tolist() == [7, 7, 7]
    columns = ["class", "true", "found", "both", "components", "isolated"]
    assert table[columns].to_numpy().tolist() == [[0, 8, 7, 5, 0, 0], [1, 4, 3, 2, 2, 1], [2, 0, 2, 0, 2, 2]]
    np.testing.assert_allclose(table["dice"], [10 / 15, 4 / 7, 0])
    np.testing.assert_allclose(table["iou"], [5 / 10, 2 / 5, 0])


def test_class_that_is_neither_there_nor_found_scores_one():
    nothing = np.zeros((1, 2, 2), np.uint8)
    table = count_pixels(nothing, nothing, np.array([0]), 2)
    assert table[["dice", "iou"]].to_numpy().tolist() == [[1, 1], [1, 1]]


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_scores_are_those_of_sets_of_pixels(seed):
    rng = np.random.default_rng(seed)
    predicted, truth = rng.integers(0, 3, (2, 3, 4, 5), dtype=np.uint8)
    table = count_pixels(predicted, truth, np.arange(3), 3)
    for record in table.to_dict("records"):
        found, true = (set(np.flatnonzero(x[record["row"]] == record["class"])) for x in (predicted, truth))
        assert record["dice"] == pytest.approx(2 * len(found & true) / (len(found) + len(true)))
        assert record["iou"] == pytest.approx(len(found & true) / len(found | true))
    assert (table.groupby("row")[["true", "found"]].sum() == 20).all(axis=None)


def test_only_sheets_with_the_class_count_where_that_is_asked_for():
    truth = np.array([[[1, 0]], [[0, 0]]], np.uint8)
    predicted = np.array([[[1, 0]], [[2, 0]]], np.uint8)
    table = count_pixels(predicted, truth, np.array([4, 2]), 3)
    np.testing.assert_array_equal(by_class(table, "dice"), [[1, 1], [1, 0]])
    only_true = by_class(table, "dice", only_true=True)
    np.testing.assert_array_equal(only_true, [[1, np.nan], [np.nan, np.nan]])
    np.testing.assert_array_equal(sheet_means(only_true), [1, np.nan])


def test_sheets_are_counted_by_their_number_of_classes_rows_actual_columns_predicted():
    truth = np.array([[[1, 2]], [[1, 0]], [[0, 0]]], np.uint8)
    predicted = np.array([[[1, 1]], [[1, 2]], [[0, 0]]], np.uint8)
    matrix = class_counts(count_pixels(predicted, truth, np.arange(3), 3), 2)
    assert matrix.tolist() == [[1, 0, 0], [0, 0, 1], [0, 1, 0]]
