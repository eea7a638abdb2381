"""How well classes can be read off each module's output by a linear classifier.

Alain and Bengio 2017, "Understanding intermediate layers using linear classifier probes". What the reading owes to
training is told by a network with random weights; what it owes to the probe itself, by labels that were shuffled (the
selectivity of Hewitt and Liang 2019).
"""

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd
from threadpoolctl import threadpool_limits
from torch import nn

from steel_xai.attribution.randomisation import randomised
from steel_xai.batches import Examples
from steel_xai.device import place, select_device
from steel_xai.errors import InputError
from steel_xai.inspection.layer_features import layer_features
from steel_xai.inspection.modules import area_of, list_modules
from steel_xai.intervals import bootstrap, percentile_interval
from steel_xai.sheets.parallel import map_batches

_PROBED = ("", "random_network_", "shuffled_")
"""Prefixes of the scores: of the network, of the network with random weights, of shuffled labels."""

_TOLERANCE = 1e-3
"""Of the gradient: half to two thirds of the time of scikit-learn's 1e-4, and at most two validation sheets of 200 more
or fewer are answered rightly than at 1e-5. At 1e-2 the cross-validation chooses other penalties now and then."""
_MAX_ITERATIONS = 10_000


def layer_probe(
    network: nn.Module,
    sheets: np.ndarray,
    split: pd.DataFrame,
    outputs: Sequence[str],
    *,
    n_features: int,
    inverse_regularisation: Sequence[float],
    folds: int,
    shuffles: int,
    bootstrap_samples: int,
    batch_size: int,
    n_jobs: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> pd.DataFrame:
    """Fit a logistic regression to each module's output for the training sheets and score it on the test sheets.

    Outputs are reduced by ``layer_features`` and standardised over the training sheets. The L2 penalty is the one with
    the best log-loss in a cross-validation of the training sheets. Controls are the same with the network's weights
    drawn anew, and the same probe (with its penalty) fitted to shuffled training labels.

    Args:
        network: Images to class logits; in evaluation mode afterwards.
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        split: The columns ``row, label, split, copy, flip_h, flip_v``. Augmented copies are left out.
        outputs: Names of the classes 0..K-1.
        n_features: Greatest number of features of a module.
        inverse_regularisation: Candidates of C, the inverse strength of the penalty.
        folds: Of the cross-validation; fewer where a class has fewer training sheets, and where one has a single
            sheet, the smallest C is taken.
        shuffles: Number of shuffles, over which the accuracy is averaged.
        bootstrap_samples: Resamples of the test sheets behind each 95 % interval.
        batch_size: Sheets at a time.
        n_jobs: Probes at a time; -1 takes all cores.
        device: Where the network runs.
        seed: Of random weights, projections, folds, shuffles and resamples.

    Returns:
        One row a module, from the input on: ``module, area`` (features or classifier), ``depth`` (1..), ``n_features,
        n_train, n_test, C``; ``accuracy`` and ``balanced_accuracy`` (mean recall of the classes among the test
        sheets), the same with the prefixes ``random_network_`` and ``shuffled_``; ``selectivity``, accuracy less that
        of shuffled labels; ``gain`` and ``balanced_gain``, both accuracies less those of the random network. Each with
        ``_low`` and ``_high``, its 95 % interval, for which sheets are resampled, and shuffles as well.
        ``majority_accuracy`` and ``chance_balanced_accuracy`` are those of always answering the commonest class of
        the training.

    Raises:
        InputError: A class has no training sheets.
    """
    train, test = Examples.of(split[split["copy"] == 0], "train"), Examples.of(split, "test")
    _check_classes(train.labels, outputs)
    where = select_device(device)
    modules = list_modules(network)
    sizes: dict[str, Any] = {"n_features": n_features, "batch_size": batch_size, "device": where, "seed": seed}
    features = []
    for probed in (network, randomised(network, seed)):
        placed = place(probed, where)
        features.append([layer_features(placed, sheets, part, modules, **sizes) for part in (train, test)])
    (known, held_out), (random_known, random_held_out) = features

    fitting = {"candidates": inverse_regularisation, "folds": folds, "seed": seed}

    def probe(part: slice) -> dict[str, Any]:
        module = modules[part.start]
        # Shuffled anew for each module: of the same few shuffles, all modules would be lucky or unlucky together.
        rng = np.random.default_rng([seed, part.start])
        targets = [train.labels, *(rng.permutation(train.labels) for _ in range(shuffles))]
        answers, strength = _answers(known[module], held_out[module], targets, fitting)
        random, _ = _answers(random_known[module], random_held_out[module], [train.labels], fitting)
        correct = np.stack([answers[0], *random, *answers[1:]], axis=1) == test.labels[:, None]
        scores = _scores(correct.astype(float), test.labels, bootstrap_samples, seed)
        return {"n_features": known[module].shape[1], "C": strength, **scores}

    commonest = np.bincount(train.labels).argmax()
    # One thread of linear algebra for each probe: more would wait for each other, and change the last digits.
    with threadpool_limits(1):
        probes = map_batches(probe, len(modules), n_jobs=n_jobs, batch_size=1, description="probes", unit="module")
        table = pd.DataFrame([scores for _, scores in probes])
    table.insert(0, "module", modules)
    table.insert(1, "area", [area_of(network, module) for module in modules])
    table.insert(2, "depth", np.arange(len(modules)) + 1)
    table.insert(4, "n_train", len(train))
    table.insert(5, "n_test", len(test))
    return table.assign(
        majority_accuracy=np.mean(test.labels == commonest),
        chance_balanced_accuracy=np.mean(np.unique(test.labels) == commonest),
    )


def accuracies(correct: np.ndarray, labels: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Compute accuracy and balanced accuracy of V sets of answers in S resamples.

    Args:
        correct: Shares of right answers, 0..1, [n, V].
        labels: Classes [n].
        weights: How often each resample holds every sheet, [S, n].

    Returns:
        [S, 2, V]; the balanced accuracy is the mean recall of the classes that a resample holds.
    """
    is_class = (labels[:, None] == np.unique(labels)).astype(float)
    support = (weights @ is_class)[:, :, None]
    hits = np.einsum("sn,nk,nv->skv", weights, is_class, correct, optimize=True)
    recall = np.divide(hits, support, out=np.zeros_like(hits), where=support > 0)
    accuracy = hits.sum(axis=1) / support.sum(axis=1)
    return np.stack([accuracy, recall.sum(axis=1) / (support > 0).sum(axis=1)], axis=1)


def _check_classes(labels: np.ndarray, outputs: Sequence[str]) -> None:
    missing = [name for k, name in enumerate(outputs) if k not in labels]
    if missing:
        raise InputError(
            f"layer_probe: no training sheet is labelled {' or '.join(missing)}, so that no probe can learn it; give "
            "sheets of it, or leave it out of class_names and train anew"
        )


def _answers(
    known: np.ndarray, held_out: np.ndarray, targets: Sequence[np.ndarray], fitting: dict[str, Any]
) -> tuple[np.ndarray, float]:
    """Predict the held-out sheets by a probe fitted to each of the targets, with the C that is best for the first."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    scaled = scaler.fit_transform(known.astype(np.float64))
    scaled_held_out = scaler.transform(held_out.astype(np.float64))
    model = LogisticRegression(tol=_TOLERANCE, max_iter=_MAX_ITERATIONS)
    model.set_params(C=_choose_c(model, scaled, targets[0], **fitting))
    return np.stack([model.fit(scaled, target).predict(scaled_held_out) for target in targets]), model.C


def _choose_c(
    model: Any, features: np.ndarray, labels: np.ndarray, *, candidates: Sequence[float], folds: int, seed: int
) -> float:
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    folds = min(folds, int(np.bincount(labels).min()))
    if folds < 2:
        # A class of one sheet cannot be both fitted and predicted; the strongest penalty trusts so few sheets least.
        return min(candidates)
    cv = StratifiedKFold(folds, shuffle=True, random_state=seed)
    search = GridSearchCV(model, {"C": list(candidates)}, scoring="neg_log_loss", cv=cv, refit=False)
    return float(search.fit(features, labels).best_params_["C"])


def _scores(correct: np.ndarray, labels: np.ndarray, n_samples: int, seed: int) -> dict[str, float | None]:
    """Score the answers [n, 2 + V] of the network, the random network and V shuffles, with paired intervals."""
    shuffles = correct.shape[1] - 2
    rng = np.random.default_rng(seed)

    def statistic(weights: np.ndarray, shares: np.ndarray) -> np.ndarray:
        found = accuracies(correct, labels, weights)
        shuffled = (found[:, :, 2:] * shares[:, None]).sum(axis=2, keepdims=True)
        network, random, shuffled = np.moveaxis(np.concatenate([found[:, :, :2], shuffled], axis=2), 2, 0)
        return np.concatenate([network, random, shuffled, network[:, :1] - shuffled[:, :1], network - random], axis=1)

    def resampled(weights: np.ndarray) -> np.ndarray:
        return statistic(weights, rng.multinomial(shuffles, np.full(shuffles, 1 / shuffles), len(weights)) / shuffles)

    names = [prefix + score for prefix in _PROBED for score in ("accuracy", "balanced_accuracy")]
    names += ["selectivity", "gain", "balanced_gain"]
    point = statistic(np.ones((1, len(labels))), np.full((1, shuffles), 1 / shuffles))[0]
    scores: dict[str, float | None] = {}
    for name, value, values in zip(names, point, bootstrap(resampled, len(labels), n_samples, seed).T, strict=True):
        low, high = percentile_interval(values)
        scores |= {name: float(value), f"{name}_low": low, f"{name}_high": high}
    return scores
