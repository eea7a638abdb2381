import numpy as np
import pytest

from steel_xai.explain import counterfactuals
from steel_xai.explain.counterfactuals import rests_on_it, share_within, without_black_end, without_stains
from steel_xai.stain_audit.changes import remove_stains
from steel_xai.white_stains import detect_white_stains


@pytest.fixture
def steel():
    """A calm grey sheet of 64x400 pixels."""
    return np.random.default_rng(0).integers(95, 106, (1, 64, 400), dtype=np.uint8)


@pytest.fixture
def stained(steel):
    steel[:, 20:28, 200:208] = 255
    return steel


def test_stains_are_painted_over_and_plain_steel_in_the_control(stained, white_stains):
    found = without_stains(stained, white_stains, seed=0)
    assert found is not None
    assert found.control is not None
    assert found.where[20:28, 200:208].all()
    assert found.where.mean() < 0.02
    assert not detect_white_stains(found.treated[None], white_stains).any()
    np.testing.assert_array_equal(found.control[:, found.where], stained[:, found.where])
    changed = (found.control != stained).any(axis=0)
    assert 0 < changed.sum() <= found.where.sum()
    np.testing.assert_array_equal(found.treated[:, ~found.where], stained[:, ~found.where])


def test_stain_is_painted_over_where_there_is_no_room_for_a_control(stained, white_stains, monkeypatch):
    with_control = without_stains(stained, white_stains, seed=0)
    monkeypatch.setattr(
        counterfactuals,
        "remove_stains",
        lambda sheets, rows, *rest, **seed: remove_stains(sheets, rows[:0], *rest, **seed),
    )
    found = without_stains(stained, white_stains, seed=0)
    assert found is not None
    assert with_control is not None
    assert found.control is None
    np.testing.assert_array_equal(found.treated, with_control.treated)
    assert found.treated[:, 20:28, 200:208].max() < 150


def test_clean_sheet_has_nothing_to_take_away(steel, white_stains):
    assert without_stains(steel, white_stains, seed=0) is None
    assert without_black_end(steel, reach=25) is None


def test_black_end_is_covered_by_mirrored_steel():
    sheet = np.zeros((1, 4, 60), np.uint8)
    sheet[:, :, :40] = np.arange(100, 140)
    found = without_black_end(sheet, reach=5)
    assert found is not None
    # two columns beside the edge may be slanted, so the mirror stands at column 37
    expected = np.r_[np.arange(100, 138), np.arange(136, 114, -1)]
    np.testing.assert_array_equal(found.treated[0, 0], expected)
    np.testing.assert_array_equal(np.flatnonzero(found.where[0]), np.arange(35, 45))
    assert found.control is None


def test_mirrored_steel_covers_a_black_end_wider_than_itself():
    sheet = np.zeros((1, 4, 60), np.uint8)
    sheet[:, :, :12] = 100
    found = without_black_end(sheet, reach=5)
    assert found is not None
    assert (found.treated == 100).all()


def test_sheet_almost_all_black_has_no_steel_to_mirror():
    sheet = np.zeros((1, 4, 60), np.uint8)
    sheet[:, :, :6] = 100
    assert without_black_end(sheet, reach=5) is None


@pytest.mark.parametrize(
    ("fall", "control_fall", "rests"),
    [
        (0.3, None, True),
        (0.1, None, True),
        (0.09, None, False),
        (-0.5, None, False),
        (0.3, 0.15, True),
        (0.3, 0.16, False),
    ],
)
def test_decision_rests_on_what_lowers_it_and_more_than_the_control_does(fall, control_fall, rests):
    assert rests_on_it(fall, min_shift=0.1, control_fall=control_fall) is rests


def test_share_within_counts_evidence_not_area():
    evidence = np.array([[3.0, 1.0], [0.0, 0.0]])
    assert share_within(evidence, np.array([[True, False], [True, True]])) == 0.75
    assert share_within(np.zeros((2, 2)), np.ones((2, 2), bool)) == 0
