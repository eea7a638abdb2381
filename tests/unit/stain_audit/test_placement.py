import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from steel_xai.stain_audit.placement import draw_place, free_steel, places


@settings(max_examples=40, deadline=None)
@given(
    arrays(bool, (7, 9)),
    st.tuples(st.integers(1, 4), st.integers(1, 5)).flatmap(lambda size: arrays(bool, size)),
)
def test_places_are_all_at_which_nothing_forbidden_is_covered(free, shape):
    height, width = shape.shape
    slow = [
        (top, left)
        for top in range(7 - height + 1)
        for left in range(9 - width + 1)
        if free[top : top + height, left : left + width][shape].all()
    ]
    assert [tuple(place) for place in places(free, shape)] == slow
    assert [tuple(place) for place in places(free, shape, top=2)] == [place for place in slow if place[0] == 2]


def test_shape_larger_than_the_sheet_fits_nowhere():
    free = np.ones((4, 6), bool)
    assert draw_place(np.random.default_rng(0), free, np.ones((5, 2), bool)) is None
    assert draw_place(np.random.default_rng(0), free, np.ones((2, 7), bool)) is None


def test_every_place_is_drawn():
    free = np.zeros((4, 6), bool)
    free[1:3, 2:5] = True
    rng = np.random.default_rng(0)
    drawn = {draw_place(rng, free, np.ones((2, 2), bool)) for _ in range(40)}
    assert drawn == {(1, 2), (1, 3)}


def test_free_steel_keeps_off_the_defect_and_the_black_end():
    sheet = np.full((3, 64, 100), 90, np.uint8)
    sheet[:, :, 70:] = 0
    mask = np.zeros((64, 100), np.uint8)
    mask[20:30, 10:20] = 4
    free = free_steel(sheet, mask)
    assert not free[20:30, 6:24].any()
    assert free[20:30, 25:68].all()
    assert free[:15, :68].all()
    assert not free[:, 68:].any()
