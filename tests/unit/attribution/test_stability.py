import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.stats import spearmanr

from steel_xai.attribution.stability import mask_iou, rank_correlation, stability

SEEDS = [7, 8, 9, 10]


@settings(max_examples=60, deadline=None)
@given(maps=hnp.arrays(np.int64, (2, 3, 4, 5), elements=st.integers(-3, 3)))
def test_rank_correlation_equals_scipys_with_ties(maps):
    for value, a, b in zip(rank_correlation(*maps.astype(np.float32)), *maps, strict=True):
        if np.ptp(a) and np.ptp(b):
            assert value == pytest.approx(spearmanr(a.ravel(), b.ravel()).statistic, abs=1e-12)
        else:
            assert np.isnan(value)


def test_rank_correlation_of_known_maps():
    a = np.array([[[1, 2, 3, 4]]] * 3, np.float32)
    b = np.array([[[10, 20, 30, 1000]], [[4, 3, 2, 1]], [[1, 3, 2, 4]]], np.float32)
    assert rank_correlation(a, b) == pytest.approx([1, -1, 0.8])


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_map_that_is_not_finite_has_no_rank_correlation(value):
    a = np.array([[[1.0, 2.0, value]], [[1.0, 2.0, 3.0]]])
    b = np.array([[[1.0, 2.0, 3.0]]] * 2)
    assert np.isnan(rank_correlation(a, b)).tolist() == [True, False]


def test_iou_of_known_masks_is_undefined_where_both_are_empty():
    a = np.array([[[1, 1, 0]], [[0, 0, 0]], [[0, 0, 0]]])
    b = np.array([[[0, 1, 1]], [[1, 0, 0]], [[0, 0, 0]]])
    np.testing.assert_array_equal(mask_iou(a, b), [1 / 3, 0, np.nan])


def explain(images, targets, seeds, methods=("brightness", "noise", "nothing")):
    """One method without randomness, one that is its seed's noise alone, one that never finds anything."""
    noise = [np.random.default_rng(seed).standard_normal(images.shape[2:]) for seed in seeds]
    maps = {
        "brightness": images.mean(dim=1).numpy(),
        "noise": np.stack(noise).astype(np.float32),
        "nothing": np.zeros((len(images), *images.shape[2:]), np.float32),
    }
    return {method: maps[method] for method in methods}


@pytest.fixture
def images():
    return torch.randn(4, 3, 12, 30, generator=torch.Generator().manual_seed(0))


def measure(images, explain=explain, noise=0.02, seeds=SEEDS):
    targets = torch.zeros(len(images), dtype=torch.int64)
    table = stability(
        explain,
        images,
        targets,
        explain(images, targets, seeds),
        seeded=["noise"],
        to_masks=lambda _, maps: maps > maps.mean(axis=(1, 2), keepdims=True),
        noise=noise,
        seeds=seeds,
        n_samples=200,
        seed=0,
    )
    return table.set_index("method")


def test_method_without_randomness_agrees_with_itself_under_other_seeds_and_nearly_so_under_noise(images):
    row = measure(images).loc["brightness"]
    assert (row["seed_correlation"], row["seed_iou"]) == pytest.approx((1, 1))
    assert 0.98 < row["noise_correlation"] < 1
    assert 0.9 < row["noise_iou"] < 1


def test_only_methods_with_randomness_are_computed_again_for_other_seeds_sheet_by_sheet(images):
    asked = []

    def record(images, targets, seeds, methods=("brightness", "noise", "nothing")):
        asked.append(list(methods))
        return explain(images, targets, seeds, methods)

    measure(images, record)
    assert asked[1:] == 4 * [["noise"], ["brightness", "noise", "nothing"]]


def test_method_of_its_seed_alone_is_shown_by_other_seeds_and_not_by_noise(images):
    row = measure(images).loc["noise"]
    assert abs(row["seed_correlation"]) < 0.1
    assert row["seed_iou"] == pytest.approx(1 / 3, abs=0.05)
    assert (row["noise_correlation"], row["noise_iou"]) == pytest.approx((1, 1))


def test_constant_maps_are_undefined_and_counted(images):
    row = measure(images).loc["nothing"]
    for name in ("seed_correlation", "seed_iou", "noise_correlation", "noise_iou"):
        assert np.isnan(row[name])
        assert row[f"{name}_n"] == 0


def test_noise_has_the_stated_deviation_and_follows_from_each_images_own_seed(images):
    seen = []

    def record(images, targets, seeds, methods=("brightness", "noise", "nothing")):
        seen.append((images, list(seeds)))
        return explain(images, targets, seeds, methods)

    measure(images, record, noise=0.5)
    unchanged, noisy = (torch.cat([image for image, _ in seen[start::2]]) for start in (1, 2))
    others, same = ([seed for _, (seed,) in seen[start::2]] for start in (1, 2))
    assert torch.equal(unchanged, images)
    assert seen[0][1] == same == SEEDS
    assert not set(others) & set(SEEDS)
    assert float((noisy - images).std()) == pytest.approx(0.5, abs=0.02)
    measure(images[2:3], record, noise=0.5, seeds=SEEDS[2:3])
    assert torch.equal(seen[-1][0], noisy[2:3])
    assert seen[-2][1] == others[2:3]
