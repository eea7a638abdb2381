"""How alike two networks see the same sheets, layer by layer: linear centred kernel alignment (CKA).

Kornblith et al. 2019, "Similarity of neural network representations revisited", with the unbiased estimator of the
Hilbert-Schmidt independence criterion (HSIC, Song et al. 2012) that Nguyen et al. 2021 use: the biased one tends to 1
for any two layers that have more features than there are sheets.
"""

from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.attribution.randomisation import randomised
from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, place, select_device
from steel_xai.errors import InputError
from steel_xai.inspection.modules import area_of, list_modules, recorded
from steel_xai.inspection.weight_transfer import RANDOM, check_same_architecture
from steel_xai.intervals import percentile_interval
from steel_xai.memory import BatchSize, in_batches

MAX_FEATURES = 2**14
"""Features of a layer that are compared, at most.

Of more, as many are drawn at random, the same in both networks. On the sample, where the first layer has 394,816, that
moved the CKA of five early layers by 0.011 at most.
"""

_MIN_SHEETS = 8
"""Half of them is the smallest number for which the unbiased HSIC is defined."""


def compare_layers(
    models: Mapping[str, Classifier],
    sheets: np.ndarray,
    splits: Mapping[str, pd.DataFrame],
    *,
    n_sheets: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Compute the linear CKA of every layer between two models, and between each of them and a random network.

    The sheets are drawn from those that are in neither model's training split. Intervals come from random halves of
    them: the values of halves drawn without replacement vary as those of whole samples do, while a bootstrap would
    count sheets as alike to their own copies.

    Args:
        models: The two classifiers by task.
        sheets: uint8 [N, C, h, w].
        splits: What trained them, by task.
        n_sheets: How many sheets are drawn; as many as there are where fewer are found.
        batch_size: Sheets in a batch.
        device: Where the networks run.
        n_samples: Random halves for the 95 % intervals.
        seed: Of sheets, features, halves and random weights.

    Returns:
        One row a pair and module: ``first, second`` (tasks, or ``random``: the first task's network with random
        weights), ``module``, ``area``, ``cka`` at most 1 and about 0 where there is nothing in common, ``low``,
        ``high``, ``n`` sheets. A layer whose outputs are all equal has no CKA.

    Raises:
        InputError: The models' architectures do not match, or too few sheets are in neither training split.
    """
    check_same_architecture({task: model.description for task, model in models.items()})
    target = select_device(device)
    examples = unseen_by_all(splits, n_sheets, seed)
    networks = {task: place(model.network, target) for task, model in models.items()}
    (first, second) = models
    networks[RANDOM] = randomised(networks[first], seed)
    modules = list_modules(networks[first])
    with tqdm(total=len(networks) * len(examples), desc="similarity of layers", unit="sheet") as bar:
        grams = {
            name: gram_matrices(network, modules, sheets, examples, batch_size, target, seed, bar)
            for name, network in networks.items()
        }
    halves = _draw_halves(len(examples), n_samples, seed)
    rows = []
    for one, other in ((first, second), (first, RANDOM), (second, RANDOM)):
        for module in modules:
            pair = grams[one][module], grams[other][module]
            low, high = percentile_interval(linear_cka(*pair, halves))
            value = float(linear_cka(*pair, np.ones((1, len(examples))))[0])
            about = {"first": one, "second": other, "module": module, "area": area_of(networks[first], module)}
            rows.append({**about, "cka": value, "low": low, "high": high, "n": len(examples)})
    return pd.DataFrame(rows)


def gram_matrices(
    network: nn.Module,
    modules: Sequence[str],
    sheets: np.ndarray,
    examples: Examples,
    batch_size: int,
    device: torch.device,
    seed: int,
    bar: tqdm,
) -> dict[str, np.ndarray]:
    """Compute the inner products of sheets in the outputs of modules: by module X X^T, float64 [n, n].

    X [n, p] holds the output of each sheet as a vector, or ``MAX_FEATURES`` of its features, drawn from ``seed``.
    """
    drawn: dict[int, torch.Tensor] = {}

    def features(output: torch.Tensor) -> torch.Tensor:
        # Contiguous first, so that a feature has the same place whatever the memory format.
        flat = output.contiguous().flatten(1)
        length = flat.shape[1]
        if length > MAX_FEATURES:
            if length not in drawn:
                places = np.random.default_rng([seed, length]).choice(length, MAX_FEATURES, replace=False)
                drawn[length] = torch.from_numpy(np.sort(places)).to(device)
            flat = flat[:, drawn[length]]
        return flat.float().cpu()

    network.eval()
    parts: dict[str, list[torch.Tensor]] = {name: [] for name in modules}
    with torch.inference_mode(), autocast(device), recorded(network, modules, features) as outputs:

        def run(part: slice) -> dict[str, torch.Tensor]:
            network(load_batch(sheets, examples.take(np.arange(part.start, part.stop)), device))
            return {name: outputs[name] for name in modules}

        for part, found in in_batches(run, len(examples), BatchSize(batch_size, "inspection.batch_size")):
            for name, of_module in found.items():
                parts[name].append(of_module)
            bar.update(part.stop - part.start)
    grams = {}
    for name in modules:
        vectors = torch.cat(parts.pop(name))
        # In float64 only afterwards, so that digits are kept here as well.
        vectors -= vectors.mean(dim=0)
        grams[name] = (vectors @ vectors.T).numpy().astype(float)
    return grams


def linear_cka(first: np.ndarray, second: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Compute the CKA of Gram matrices [n, n]: HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)), for subsets of the sheets.

    Args:
        first: K, inner products of sheets in one layer.
        second: L, in the other.
        members: 1 where a subset holds a sheet, else 0, float [S, n].

    Returns:
        One value a subset [S]; NaN where a layer's outputs are all equal.
    """
    # What all sheets have in common cancels in the HSIC, but costs digits.
    first, second = _centred(first), _centred(second)
    cross = unbiased_hsic(first, second, members)
    own, others = unbiased_hsic(first, first, members), unbiased_hsic(second, second, members)
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.where((own > 0) & (others > 0), cross / np.sqrt(own * others), np.nan)


def _centred(products: np.ndarray) -> np.ndarray:
    """Take the mean vector off the vectors behind a Gram matrix [n, n]: H K H with H = I - 11'/n."""
    return np.asarray(products - products.mean(axis=0) - products.mean(axis=1, keepdims=True) + products.mean())


def unbiased_hsic(first: np.ndarray, second: np.ndarray, members: np.ndarray) -> np.ndarray:
    """Estimate the HSIC without bias from Gram matrices K, L [n, n], for subsets of the sheets.

    Song et al. 2012, equation 5, for m sheets and K~, L~ with zeros on their diagonals::

        (tr(K~ L~) + 1'K~1 1'L~1 / ((m-1)(m-2)) - 2/(m-2) 1'K~ L~1) / (m (m-3))

    Args:
        first: K.
        second: L.
        members: 1 where a subset holds a sheet, else 0, float [S, n]; at least 4 sheets each.

    Returns:
        One value a subset [S].
    """
    off_diagonal = 1 - np.eye(len(first))
    k, l_ = first * off_diagonal, second * off_diagonal
    size = members.sum(axis=1)
    trace = ((members @ (k * l_)) * members).sum(axis=1)
    k_sums, l_sums = (members @ k) * members, (members @ l_) * members
    product = k_sums.sum(axis=1) * l_sums.sum(axis=1)
    mixed = (k_sums * l_sums).sum(axis=1)
    total = trace + product / ((size - 1) * (size - 2)) - 2 * mixed / (size - 2)
    return np.asarray(total / (size * (size - 3)))


def unseen_by_all(splits: Mapping[str, pd.DataFrame], n_sheets: int, seed: int) -> Examples:
    """Draw sheets that are validation or test sheets of every task, in the order of their rows.

    Raises:
        InputError: There are too few to compare layers.
    """
    one, *others = (split.loc[split["split"] != "train", "row"].to_numpy(np.int64) for split in splits.values())
    rows = np.unique(one)
    for other in others:
        rows = np.intersect1d(rows, other)
    if len(rows) < _MIN_SHEETS:
        raise InputError(
            f"{len(rows)} sheets are in no training split of the tasks {', '.join(splits)}, but comparing layers "
            f"needs {_MIN_SHEETS}; raise splits.fractions.validation or splits.fractions.test and train the models anew"
        )
    chosen = np.sort(np.random.default_rng(seed).choice(rows, min(n_sheets, len(rows)), replace=False))
    unflipped = np.zeros(len(chosen), dtype=bool)
    return Examples(chosen, np.zeros(len(chosen), dtype=np.int64), unflipped, unflipped)


def _draw_halves(n: int, n_samples: int, seed: int) -> np.ndarray:
    """Draw halves of n sheets without replacement: 0 and 1, float [S, n]."""
    order = np.random.default_rng(seed).permuted(np.tile(np.arange(n), (n_samples, 1)), axis=1)
    return (order < n // 2).astype(float)
