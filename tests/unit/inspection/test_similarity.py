from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import ortho_group
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.errors import InputError
from steel_xai.inspection import similarity
from steel_xai.inspection.modules import list_modules
from steel_xai.inspection.similarity import compare_layers, gram_matrices, linear_cka, unbiased_hsic, unseen_by_all
from steel_xai.models import build_network

SIZE = (64, 40)


def gram(features):
    return features @ features.T


def everyone(n):
    return np.ones((1, n))


def slow_hsic(k, l_):
    """Song et al. 2012, equation 4: the mean over all quadruples of different sheets."""
    n = len(k)
    values = [k[i, j] * (l_[i, j] + l_[q, r] - 2 * l_[i, q]) for i, j, q, r in permutations(range(n), 4)]
    return np.mean(values)


def test_hsic_is_the_mean_over_all_quadruples_of_sheets():
    rng = np.random.default_rng(0)
    k, l_ = gram(rng.normal(size=(7, 3))), gram(rng.normal(size=(7, 5)))
    assert unbiased_hsic(k, l_, everyone(7))[0] == pytest.approx(slow_hsic(k, l_))


def test_subsets_score_as_their_sheets_alone():
    rng = np.random.default_rng(1)
    k, l_ = gram(rng.normal(size=(9, 3))), gram(rng.normal(size=(9, 5)))
    members = np.array([[1, 1, 0, 1, 0, 1, 1, 0, 0], [0, 1, 1, 1, 1, 1, 1, 1, 1]], dtype=float)
    for subset, value in zip(members, unbiased_hsic(k, l_, members), strict=True):
        inside = np.flatnonzero(subset)
        assert value == pytest.approx(slow_hsic(k[np.ix_(inside, inside)], l_[np.ix_(inside, inside)]))


@given(seed=st.integers(0, 10_000), scale=st.floats(0.01, 100))
def test_cka_of_features_and_the_same_turned_scaled_and_shifted_is_one(seed, scale):
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(20, 6))
    turned = scale * features @ ortho_group.rvs(6, random_state=rng) + rng.normal(size=6)
    assert linear_cka(gram(features), gram(turned), everyone(20))[0] == pytest.approx(1, abs=1e-6)


def test_cka_of_independent_features_is_about_zero_even_where_they_outnumber_the_sheets():
    rng = np.random.default_rng(0)
    values = [
        linear_cka(gram(rng.normal(size=(30, 300))), gram(rng.normal(size=(30, 300))), everyone(30))[0]
        for _ in range(200)
    ]
    assert abs(np.mean(values)) < 3 * np.std(values) / np.sqrt(200)


def test_cka_falls_as_less_is_shared():
    rng = np.random.default_rng(0)
    shared, one, other = (rng.normal(size=(200, 4)) for _ in range(3))
    values = [
        linear_cka(gram(shared + noise * one), gram(shared + noise * other), everyone(200))[0] for noise in (0, 0.5, 1)
    ]
    # Covariances s^2 I and (1 + noise^2) I: the population's CKA is 1 / (1 + noise^2)^2.
    assert values == pytest.approx([1, 0.64, 0.25], abs=0.06)


def test_a_constant_layer_has_no_cka():
    features = np.random.default_rng(0).normal(size=(10, 3))
    assert np.isnan(linear_cka(gram(features), np.zeros((10, 10)), everyone(10))).all()


@pytest.fixture
def models(tiny_architecture):
    found = {}
    for seed, (task, n_classes) in enumerate((("binary", 2), ("multi", 3))):
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            network = build_network("tiny", n_classes, batch_norm=True, dropout=0.1, image_size=SIZE)
        description = ClassifierDescription.model_construct(architecture="tiny", batch_norm=True, tensor_size=SIZE)
        found[task] = Classifier(network.eval(), description)
    return found


@pytest.fixture
def splits(fake_split):
    return {"binary": fake_split, "multi": fake_split}


def compare(models, sheets, splits):
    return compare_layers(models, sheets, splits, n_sheets=20, batch_size=6, device="cpu", n_samples=50, seed=0)


def grams_of(network, sheets, batch_size=6):
    rows = np.arange(12)
    examples = Examples(rows, rows, rows > 99, rows > 99)
    modules = list_modules(network)
    with tqdm(disable=True) as bar:
        return gram_matrices(network, modules, sheets, examples, batch_size, torch.device("cpu"), 0, bar), examples


def test_gram_matrices_are_the_inner_products_of_centred_outputs(models, fake_sheets):
    network = models["binary"].network
    grams, examples = grams_of(network, fake_sheets)
    with torch.no_grad():
        output = network[0][0](load_batch(fake_sheets, examples, torch.device("cpu"))).flatten(1).numpy()
    expected = gram(output - output.mean(axis=0))
    np.testing.assert_allclose(grams["features.0"], expected, rtol=1e-4, atol=1e-3)
    assert list(grams) == list_modules(network)


def test_a_draw_of_features_is_the_same_for_all_batches_and_networks(models, fake_sheets, monkeypatch):
    monkeypatch.setattr(similarity, "MAX_FEATURES", 100)
    network = models["binary"].network
    one, other = grams_of(network, fake_sheets)[0], grams_of(network, fake_sheets, batch_size=5)[0]
    np.testing.assert_allclose(one["features.0"], other["features.0"], rtol=1e-4, atol=1e-3)
    exact = linear_cka(one["features.0"], other["features.0"], everyone(12))[0]
    assert exact == pytest.approx(1, abs=1e-6)


def test_a_model_is_like_itself_and_less_like_a_random_one(models, fake_sheets, splits):
    twins = {"binary": models["binary"], "twin": models["binary"]}
    table = compare(twins, fake_sheets, {**splits, "twin": splits["binary"]})
    itself = table[(table["first"] == "binary") & (table["second"] == "twin")]
    assert itself["cka"].to_numpy() == pytest.approx(1)
    assert itself["low"].to_numpy() == pytest.approx(1)
    control = table[table["second"] == "random"]
    assert (control["cka"] <= 1 + 1e-9).all()
    assert control["cka"].min() < 0.99


def test_table_has_each_pair_and_module_and_intervals_hold_the_value(models, fake_sheets, splits):
    table = compare(models, fake_sheets, splits)
    pairs = list(table.groupby(["first", "second"], sort=False).size().items())
    n_modules = len(list_modules(models["binary"].network))
    assert pairs == [
        (("binary", "multi"), n_modules),
        (("binary", "random"), n_modules),
        (("multi", "random"), n_modules),
    ]
    assert (table["n"] == 20).all()
    assert (table["low"] <= table["high"]).all()
    assert table.equals(compare(models, fake_sheets, splits))


def test_sheets_are_those_that_trained_neither_model(fake_split):
    other = fake_split.assign(split=["test"] * 48 + ["train"] * 12)
    examples = unseen_by_all({"binary": fake_split, "multi": other}, 99, 0)
    assert examples.rows.tolist() == list(range(36, 48))
    assert len(unseen_by_all({"binary": fake_split, "multi": other}, 9, 0)) == 9
    with pytest.raises(InputError, match="0 sheets are in no training split of the tasks binary, multi"):
        unseen_by_all({"binary": fake_split, "multi": fake_split.assign(split="train")}, 9, 0)
