import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, logit
from scipy.stats import mannwhitneyu

from steel_xai.stain_audit.observational import compare_confidence

OPTIONS: dict[str, Any] = {"min_group": 3, "n_samples": 200, "seed": 0}


def test_u_effect_and_exact_p_value_are_those_counted_by_hand():
    # Of the 12 pairs (attributed, plain) 11 have the greater value first; only 0.5 < 1 has not.
    found = compare_confidence(np.array([0.5, 3, 4]), np.array([-2.0, -1, 0, 1]), **OPTIONS)
    assert (found["U"], found["group_sizes"]) == (11, {"attributed": 3, "plain": 4})
    assert found["effect_size"] == pytest.approx(2 * 11 / 12 - 1)
    # Of the 35 ways to rank 3 among 7, two have U >= 11; all but one have U <= 11.
    assert found["p_value"] == pytest.approx(2 / 35)
    assert found["p_value_reversed"] == pytest.approx(34 / 35)
    assert found["direction"] == "higher"


def test_medians_and_shifts_are_given_in_probability_and_in_log_odds():
    attributed, plain = logit(np.array([0.5, 0.8, 0.9])), logit(np.array([0.1, 0.2, 0.3]))
    found = compare_confidence(attributed, plain, **OPTIONS)
    assert found["medians"] == pytest.approx({"attributed": 0.8, "plain": 0.2})
    assert found["medians_log_odds"] == pytest.approx({"attributed": np.log(4), "plain": -np.log(4)})
    # The nine differences of P are .2 .3 .4 .5 .6 .6 .7 .7 .8.
    assert found["shift"]["estimate"] == pytest.approx(0.6)
    assert found["shift_log_odds"]["estimate"] == pytest.approx(np.median(np.subtract.outer(attributed, plain)))


def test_agrees_with_scipy_on_large_groups_with_ties():
    rng = np.random.default_rng(0)
    one, other = rng.integers(0, 9, 40).astype(float), rng.integers(-1, 8, 50).astype(float)
    found = compare_confidence(one, other, **OPTIONS)
    expected = mannwhitneyu(one, other, alternative="greater")
    assert (found["U"], found["p_value"]) == (expected.statistic, expected.pvalue)


def test_lower_probabilities_are_no_shortcut_and_their_direction_is_told():
    one, other = np.arange(20.0), np.arange(20.0) + 6
    found = compare_confidence(one, other, **OPTIONS)
    assert found["direction"] == "lower"
    assert found["effect_size"] < 0
    assert found["p_value"] > 0.99
    assert found["p_value_reversed"] < 0.01
    assert found["shift_log_odds"]["estimate"] == -6


def test_equal_groups_have_no_direction():
    found = compare_confidence(np.arange(5.0), np.arange(5.0), **OPTIONS)
    assert (found["effect_size"], found["direction"]) == (0, "equal")


def test_sheets_are_told_apart_where_their_probability_is_one():
    one, other = np.linspace(50, 60, 20), np.linspace(40, 49, 20)
    assert (expit(one) == expit(other)).all()
    found = compare_confidence(one, other, **OPTIONS)
    assert found["effect_size"] == 1
    assert found["shift"] == {"estimate": 0, "low": 0, "high": 0}
    assert found["shift_log_odds"]["low"] > 5


@pytest.mark.parametrize(("n", "m"), [(2, 40), (40, 2), (0, 5), (0, 0)])
def test_too_few_sheets_have_counts_and_no_p_value(n, m):
    found = compare_confidence(np.arange(n, dtype=float), np.arange(m, dtype=float), **OPTIONS)
    assert not found["testable"]
    assert found["note"] == f"{n} sheets with and {m} without are too few: 3 of each are needed"
    assert found["group_sizes"] == {"attributed": n, "plain": m}
    tested = ("U", "p_value", "p_value_reversed", "effect_size", "effect_low", "direction", "shift", "shift_log_odds")
    assert [found[key] for key in tested] == [None] * len(tested)
    json.dumps(found, allow_nan=False)


def test_groups_of_the_least_size_are_tested():
    assert compare_confidence(np.arange(3.0), np.arange(3.0), **OPTIONS)["testable"]


def test_effect_interval_follows_its_seed_and_holds_the_effect():
    rng = np.random.default_rng(3)
    one, other = rng.normal(1, 1, 30), rng.normal(0, 1, 40)
    first, again, different = (compare_confidence(one, other, **OPTIONS | {"seed": seed}) for seed in (1, 1, 2))
    assert first == again
    assert first["effect_low"] != different["effect_low"]
    assert first["effect_low"] < first["effect_size"] < first["effect_high"] <= 1


values = st.lists(st.integers(-30, 30).map(float), min_size=3, max_size=12).map(np.array)


@settings(max_examples=50, deadline=None)
@given(values, values)
def test_swapped_groups_mirror_the_result(one, other):
    found, mirrored = (
        compare_confidence(*groups, **OPTIONS | {"n_samples": 5}) for groups in ((one, other), (other, one))
    )
    assert mirrored["effect_size"] == pytest.approx(-found["effect_size"])
    assert mirrored["p_value"] == pytest.approx(found["p_value_reversed"])
    assert mirrored["shift_log_odds"]["estimate"] == pytest.approx(-found["shift_log_odds"]["estimate"])
    wins = (one[:, None] > other).mean() - (one[:, None] < other).mean()
    assert found["effect_size"] == pytest.approx(wins)
    json.dumps(found, allow_nan=False)
