from typing import Any

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, wilcoxon

from steel_xai.stain_audit.hodges_lehmann import shift_between, shift_of


def test_shift_between_groups_is_the_median_of_all_differences():
    # Differences 10-1, 10-2, 10-3, 12-1, .. are 7, 8, 9, 9, 10, 11.
    found = shift_between(np.array([10.0, 12]), np.array([1.0, 2, 3]))
    assert found == {"estimate": 9, "low": None, "high": None}


def test_interval_between_groups_counts_differences_from_both_ends():
    one, other = np.array([2, 4, 6, 8, 10]) * 1.5, np.arange(5.0)
    # 25 / 2 - 1.96 sqrt(25 * 11 / 12) = 3.1: the third from each end.
    ordered = sorted(float(a - b) for a in one for b in other)
    assert shift_between(one, other) == {"estimate": ordered[12], "low": ordered[2], "high": ordered[22]}


def test_centre_of_differences_is_the_median_of_their_averages():
    # Averages of 1, 2, 6: 1, 1.5, 2, 3.5, 4, 6.
    assert shift_of(np.array([6.0, 1, 2])) == {"estimate": 2.75, "low": None, "high": None}


def test_interval_of_differences_counts_averages_from_both_ends():
    values = np.array([-1.0, 0, 2, 3, 5, 9, 11])
    # 7 * 8 / 4 - 1.96 sqrt(7 * 8 * 15 / 24) = 2.4: the second from each end, which are 0 - 1 and 9 + 11, halved.
    assert shift_of(values) == {"estimate": pytest.approx(4, abs=0.5), "low": -0.5, "high": 10}


def test_no_values_have_no_shift():
    nothing = {"estimate": None, "low": None, "high": None}
    assert shift_of(np.array([])) == nothing
    assert shift_between(np.array([1.0]), np.array([])) == nothing


def test_interval_between_groups_holds_what_a_two_sided_test_does_not_refuse():
    rng = np.random.default_rng(0)
    one, other = rng.normal(1, 2, 24), rng.normal(0, 2, 31)
    found: dict[str, Any] = shift_between(one, other)

    def p_value(shift):
        return mannwhitneyu(one - shift, other, method="exact").pvalue

    width = found["high"] - found["low"]
    assert p_value(found["low"] - 0.05 * width) < 0.05 < p_value(found["low"] + 0.05 * width)
    assert p_value(found["high"] + 0.05 * width) < 0.05 < p_value(found["high"] - 0.05 * width)


def test_interval_of_differences_holds_what_a_signed_rank_test_does_not_refuse():
    values = np.random.default_rng(1).normal(1, 2, 30)
    found: dict[str, Any] = shift_of(values)
    width = found["high"] - found["low"]
    inside, outside = (wilcoxon(values - found["low"] - way * width).pvalue for way in (0.05, -0.05))
    assert outside < 0.05 < inside


def test_intervals_cover_the_true_shift_in_about_95_of_100_samples():
    rng = np.random.default_rng(2)
    between: list[dict[str, Any]] = []
    of: list[dict[str, Any]] = []
    for _ in range(400):
        between.append(shift_between(rng.logistic(3, 1, 15), rng.logistic(1, 1, 20)))
        of.append(shift_of(rng.logistic(2, 1, 20)))
    for found in (between, of):
        assert 0.925 <= np.mean([shift["low"] <= 2 <= shift["high"] for shift in found]) <= 0.985
