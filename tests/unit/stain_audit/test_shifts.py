import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from steel_xai.intervals import exact_interval
from steel_xai.stain_audit.shifts import flips, median_with_interval, shift, signed_rank_p_value


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(-5, 5), min_size=1, max_size=12), st.integers(0, 5))
def test_interval_of_the_median_is_that_of_medians_of_resamples(values, seed):
    values = np.array(values)
    n = len(values)
    rng = np.random.default_rng(seed)
    counts = rng.multinomial(n, np.full(n, 1 / n), size=50)
    slow = np.percentile([np.median(np.repeat(values, count)) for count in counts], [2.5, 97.5])
    middle, low, high = median_with_interval(values, 50, seed)
    assert middle == pytest.approx(np.median(values))
    assert [low, high] == pytest.approx(slow)


def test_all_of_five_sheets_rising_has_the_p_value_of_five_coins():
    differences = np.array([0.1, 0.2, 0.3, 0.4, 0.5])
    assert signed_rank_p_value(differences, "greater") == pytest.approx(1 / 32)
    assert signed_rank_p_value(differences, "less") == pytest.approx(1)
    assert signed_rank_p_value(-differences, "less") == pytest.approx(1 / 32)


def test_no_change_at_all_is_no_evidence():
    assert signed_rank_p_value(np.zeros(6), "greater") == 1


@pytest.mark.parametrize("n", [0, 4])
def test_too_few_sheets_have_no_p_value(n):
    found = shift(np.zeros(n), np.ones(n), direction="greater", min_sheets=5, n_samples=100, seed=0)
    assert found == {"n": n, "median": None, "low": None, "high": None, "p_value": None}


def test_shift_by_hand():
    found = shift(np.zeros(5), np.full(5, 0.25), direction="greater", min_sheets=5, n_samples=100, seed=0)
    assert (found["n"], found["median"], found["low"], found["high"]) == (5, 0.25, 0.25, 0.25)


def test_flips_count_only_sheets_that_were_found_defective():
    found = flips(np.array([0, 1, 2, 3, 1]), np.array([0, 0, 2, 1, 0]))
    low, high = exact_interval(2, 4)
    assert found == {
        "n_predicted_defect": 4,
        "n_flipped": 2,
        "flip_rate": 0.5,
        "flip_low": float(low),
        "flip_high": float(high),
    }


def test_flip_rate_of_no_sheet_is_undefined():
    found = flips(np.zeros(3, int), np.zeros(3, int))
    assert (found["n_predicted_defect"], found["flip_rate"], found["flip_low"]) == (0, None, None)
