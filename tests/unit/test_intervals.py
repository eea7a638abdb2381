import math

import numpy as np
import pytest
from scipy.stats import binomtest

from steel_xai.intervals import bootstrap, exact_interval, mean_with_interval, or_none, percentile_interval


def test_every_resample_holds_as_many_sheets_as_the_sample():
    drawn = bootstrap(lambda weights: weights, 7, 250, seed=0)
    assert drawn.shape == (250, 7)
    assert (drawn.sum(axis=1) == 7).all()
    assert (drawn == drawn.round()).all()


def test_deviation_of_resampled_means_is_the_standard_error():
    values = np.random.default_rng(0).normal(size=50)
    means = bootstrap(lambda weights: weights @ values / 50, 50, 4000, seed=0)
    assert means.std() == pytest.approx(values.std() / np.sqrt(50), rel=0.05)


def test_resamples_follow_their_seed_alone():
    first = bootstrap(lambda weights: weights[:, :3], 9, 150, seed=4)
    np.testing.assert_array_equal(first, bootstrap(lambda weights: weights, 9, 150, seed=4)[:, :3])
    assert (first != bootstrap(lambda weights: weights[:, :3], 9, 150, seed=5)).any()


def test_interval_ignores_undefined_values():
    assert percentile_interval(np.r_[np.arange(1001), np.nan]) == [25, 975]
    assert percentile_interval(np.array([np.nan])) == [None, None]
    assert (or_none(math.nan), or_none(0.5)) == (None, 0.5)


def test_mean_leaves_out_and_counts_undefined_values():
    summary = mean_with_interval(np.array([0.5, np.nan, 0.7, 0.5, 0.7, 0.6]), 2000, seed=0)
    assert summary["mean"] == pytest.approx(0.6)
    assert summary["n"] == 5
    assert 0.5 <= summary["low"] < 0.56
    assert 0.64 < summary["high"] <= 0.7


@pytest.mark.parametrize("values", [[], [np.nan] * 9, [0.1, 0.2, 0.3, 0.4], [0.1, 0.2, 0.3, 0.4, np.nan, np.nan]])
def test_mean_of_fewer_values_than_asked_for_has_no_interval(values):
    summary = mean_with_interval(np.array(values), 200, seed=0, fewest=5)
    n = int(np.isfinite(values).sum())
    assert summary["n"] == n
    assert math.isnan(summary["mean"]) == (n == 0)
    assert math.isnan(summary["low"])
    assert math.isnan(summary["high"])


def test_exact_interval_is_that_of_the_binomial_test():
    hits, n = np.array([0, 1, 7, 19, 20, 500]), np.array([20, 20, 20, 20, 20, 1000])
    slow = [binomtest(int(k), int(of)).proportion_ci(0.95, method="exact") for k, of in zip(hits, n, strict=True)]
    np.testing.assert_allclose(np.transpose(exact_interval(hits, n)), slow, atol=1e-9)


def test_exact_interval_of_no_sheets_is_undefined():
    assert np.isnan(exact_interval(0, 0)).all()
