import numpy as np

from steel_xai.segmentation.masks import component_areas, drop_small


def test_pixels_that_touch_at_a_corner_are_one_component():
    component, areas = component_areas(np.array([[1, 0, 0, 1], [0, 1, 0, 0]], bool))
    assert sorted(areas[1:].tolist()) == [1, 2]
    assert areas[0] == 5
    assert component[0, 0] == component[1, 1] != component[0, 3]


def test_components_below_the_minimum_of_their_class_become_background():
    labels = np.array([[[1, 1, 0, 2, 0, 1], [0, 0, 0, 2, 0, 0]]], np.uint8)
    assert drop_small(labels, [2, 2]).tolist() == [[[1, 1, 0, 2, 0, 0], [0, 0, 0, 2, 0, 0]]]
    assert drop_small(labels, [3, 0]).tolist() == [[[0, 0, 0, 2, 0, 0], [0, 0, 0, 2, 0, 0]]]
    assert drop_small(labels, [0, 3]).tolist() == [[[1, 1, 0, 0, 0, 1], [0, 0, 0, 0, 0, 0]]]


def test_neighbours_of_another_class_do_not_make_a_component_larger():
    labels = np.array([[[1, 2, 1, 2]]], np.uint8)
    assert not drop_small(labels, [2, 2]).any()


def test_what_is_filtered_is_a_copy():
    labels = np.ones((1, 1, 1), np.uint8)
    assert drop_small(labels, [2]).tolist() == [[[0]]]
    assert labels.tolist() == [[[1]]]
