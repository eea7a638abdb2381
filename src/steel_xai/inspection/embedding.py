"""What the classes look like in each module's output: maps of the sheets by t-SNE, and numbers for what the eye sees.

Van der Maaten and Hinton 2008, "Visualizing data using t-SNE". A map keeps neighbours, not distances, and seeds differ,
so that the numbers are taken before it: how often a sheet's nearest neighbours have its class, and how much nearer a
sheet is to its own class than to the next (the silhouette of Rousseeuw 1987).
"""

from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from torch import nn
from tqdm import tqdm

from steel_xai.batches import Examples
from steel_xai.device import place, select_device
from steel_xai.errors import InputError
from steel_xai.inspection.layer_features import layer_features
from steel_xai.inspection.modules import area_of, list_modules
from steel_xai.inspection.probe import accuracies
from steel_xai.intervals import FEWEST_VALUES, bootstrap, mean_with_interval, percentile_interval

_COMPONENTS = 50
"""To which van der Maaten and Hinton reduce as well before t-SNE."""
_LEAST_SHEETS = 4
"""With which t-SNE has a perplexity of at least 1."""


def layer_embedding(
    network: nn.Module,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    n_sheets: int,
    modules: int | Sequence[str],
    n_features: int,
    perplexity: float,
    neighbours: int,
    bootstrap_samples: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Embed test sheets in the plane by each module's output, and measure how far classes are apart before that.

    Outputs are reduced by ``layer_features``, standardised, and rotated to their first 50 principal components.

    Args:
        network: Images to class logits; in evaluation mode afterwards.
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        split: The columns ``row, label, split, flip_h, flip_v``.
        n_sheets: How many test sheets are drawn; all where there are fewer.
        modules: Their names, or how many, spread over depth from first to last.
        n_features: Greatest number of features of a module.
        perplexity: Of t-SNE, about the number of neighbours that it looks at; at most a third of the other sheets.
        neighbours: How many sheets nearest to a sheet vote for its class; ties go to the nearer ones.
        bootstrap_samples: Resamples of the sheets behind each 95 % interval.
        batch_size: Sheets at a time.
        device: Where the network runs.
        seed: Of the drawn sheets, projections, t-SNE and resamples.

    Returns:
        Points ``module, depth, row, label, x, y``, and numbers, one row a module: ``module, area, depth, n_features,
        n`` (sheets), ``k`` (neighbours), ``knn_accuracy``, ``knn_balanced_accuracy`` (mean recall of the classes) and
        ``silhouette`` (-1..1, the mean over sheets; missing where all are of one class or each of its own), each with
        ``_low`` and ``_high``, its 95 % interval. Depth counts all modules of the network from 1 on.

    Raises:
        InputError: A module is unknown, or there are fewer than 4 test sheets.
    """
    names = list_modules(network)
    chosen = _choose(names, modules)
    examples = _draw(Examples.of(split, "test"), n_sheets, seed)
    where = select_device(device)
    features = layer_features(
        place(network, where),
        sheets,
        examples,
        chosen,
        n_features=n_features,
        batch_size=batch_size,
        device=where,
        seed=seed,
    )
    points, numbers = [], []
    for module in tqdm(chosen, desc="embeddings", unit="module"):
        components = _principal_components(features[module])
        depth = names.index(module) + 1
        x, y = _embed(components, perplexity, seed).T
        about = {"module": module, "depth": depth}
        points.append(pd.DataFrame({**about, "row": examples.rows, "label": examples.labels, "x": x, "y": y}))
        separation = _separation(components, examples.labels, neighbours, bootstrap_samples, seed)
        about |= {"area": area_of(network, module), "n_features": features[module].shape[1], "n": len(examples)}
        numbers.append({**about, **separation})
    table = pd.DataFrame(numbers)
    table.insert(1, "area", table.pop("area"))
    return pd.concat(points, ignore_index=True), table


def nearest_answers(features: np.ndarray, labels: np.ndarray, k: int) -> np.ndarray:
    """Answer for each sheet the commonest class of the k others nearest to it; ties go to the nearer ones.

    Args:
        features: [n, D], compared by Euclidean distance.
        labels: Classes [n].
        k: At most n - 1.

    Returns:
        Classes [n].
    """
    from sklearn.neighbors import NearestNeighbors

    nearest = NearestNeighbors(n_neighbors=k).fit(features).kneighbors(return_distance=False)
    # All that is added to the votes is less than one vote, and a neighbour gets more than all behind it together.
    votes = 1 + 0.5 ** np.arange(2, k + 2)
    classes = np.unique(labels)
    totals = ((labels[nearest][:, :, None] == classes) * votes[:, None]).sum(axis=1)
    return np.asarray(classes[totals.argmax(axis=1)])


def _choose(names: Sequence[str], modules: int | Sequence[str]) -> list[str]:
    if isinstance(modules, int):
        return [names[i] for i in np.unique(np.linspace(0, len(names) - 1, modules).round().astype(int))]
    unknown = [module for module in modules if module not in names]
    if unknown:
        raise InputError(f"layer_embedding.modules: the network has no {', '.join(unknown)}, but {', '.join(names)}")
    return sorted(set(modules), key=names.index)


def _draw(examples: Examples, n: int, seed: int) -> Examples:
    if len(examples) < _LEAST_SHEETS:
        raise InputError(
            f"layer_embedding: {len(examples)} test sheets cannot be embedded; give at least {_LEAST_SHEETS}, by a "
            "larger test share in splits or more sheets"
        )
    if n >= len(examples):
        return examples
    return examples.take(np.sort(np.random.default_rng(seed).choice(len(examples), n, replace=False)))


def _principal_components(features: np.ndarray) -> np.ndarray:
    """Standardise features [n, D] and rotate them to at most 50 principal components, float64 [n, min(n, D, 50)]."""
    from sklearn.preprocessing import StandardScaler

    scaled = StandardScaler().fit_transform(features.astype(np.float64))
    # Not by sklearn's PCA, which divides by the variance: a module that is dead for all sheets has none.
    left, singular, _ = np.linalg.svd(scaled, full_matrices=False)
    return np.asarray((left * singular)[:, :_COMPONENTS])


def _embed(components: np.ndarray, perplexity: float, seed: int) -> np.ndarray:
    """Embed sheets [n, D] in the plane by t-SNE that starts from the first two components: [n, 2]."""
    from sklearn.manifold import TSNE
    from threadpoolctl import threadpool_limits

    start = np.zeros((len(components), 2), np.float32)
    start[:, : components.shape[1]] = components[:, :2]
    # The scale that sklearn gives to a start from principal components.
    start *= 1e-4 / (start[:, 0].std() or 1)
    tsne = TSNE(perplexity=min(perplexity, (len(components) - 1) / 3), init=start, random_state=seed)
    # Sums of several threads differ in their last digits, and t-SNE makes other maps of that.
    with threadpool_limits(1):
        return np.asarray(tsne.fit_transform(components))


def _separation(
    components: np.ndarray, labels: np.ndarray, neighbours: int, n_samples: int, seed: int
) -> dict[str, float | None]:
    """Measure how well neighbours [n, D] tell the classes, and how far these are apart, with intervals."""
    from sklearn.metrics import silhouette_samples

    n = len(labels)
    k = min(neighbours, n - 1)
    correct = (nearest_answers(components, labels, k) == labels).astype(float)[:, None]

    def statistic(weights: np.ndarray) -> np.ndarray:
        return accuracies(correct, labels, weights)[:, :, 0]

    resampled = bootstrap(statistic, n, n_samples, seed)
    found: dict[str, float | None] = {"k": k}
    for i, name in enumerate(("knn_accuracy", "knn_balanced_accuracy")):
        low, high = percentile_interval(resampled[:, i])
        found |= {name: float(statistic(np.ones((1, n)))[0, i]), f"{name}_low": low, f"{name}_high": high}
    defined = 2 <= len(np.unique(labels)) < n
    silhouettes = silhouette_samples(components, labels) if defined else np.full(n, np.nan)
    silhouette = mean_with_interval(silhouettes, n_samples, seed, fewest=FEWEST_VALUES)
    return found | {
        f"silhouette{end}": silhouette[of] for end, of in (("", "mean"), ("_low", "low"), ("_high", "high"))
    }
