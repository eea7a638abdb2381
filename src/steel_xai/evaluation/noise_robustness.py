"""How a classifier stands noise on the sheets, and what training with the noise augmentation does to that."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, place, select_device
from steel_xai.intervals import bootstrap, percentile_interval
from steel_xai.memory import BatchSize, in_batches
from steel_xai.metrics import SCORES, score
from steel_xai.parameters import (
    EvaluationParameters,
    NoiseRobustnessParameters,
    StainDetectionParameters,
    TrainingParameters,
)

STUDY_NOISE = 0.15
"""Standard deviation of the noise augmentation in the study, in normalised grey levels."""


def train_noise_twin(
    model: Classifier,
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    *,
    white_stains: StainDetectionParameters,
    folder: Path,
) -> Classifier:
    """Train a classifier that differs from the given one in the noise augmentation alone.

    It has none if the given one was trained with noise, else the study's. Start, seed, data and all other parameters
    are the given one's, ``auto`` values as they were resolved for it.

    Args:
        model: The classifier to compare with.
        sheets: What trained it, uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w], for a classifier of patches.
        split: What trained it.
        white_stains: By which stains are found, for a classifier that was trained with pasted ones.
        folder: Of the training's checkpoint and log.

    Raises:
        InputError: As ``training.train_classifier`` does.
    """
    from steel_xai.training import train_classifier

    about = model.description
    changes = {
        "noise": 0.0 if about.parameters["noise"] > 0 else STUDY_NOISE,
        # A resolved batch normalisation fits only the kind of weights that it was resolved for.
        "pretrained": "never" if about.weights == "random" else "require",
    }
    twin, _ = train_classifier(
        sheets,
        split,
        outputs=about.outputs,
        parameters=TrainingParameters.model_validate({"stain_augmentation": 0} | about.parameters | changes),
        seed=about.seed,
        folder=folder,
        data_source=about.data_source,
        masks=masks,
        white_stains=white_stains,
    )
    return twin


def compare_under_noise(
    classifiers: Sequence[Classifier],
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    parameters: NoiseRobustnessParameters,
    evaluation: EvaluationParameters,
) -> pd.DataFrame:
    """Measure classifiers of one task under the very same noise: the tables of `measure_noise`, one after the other.

    The first one's seed draws the noise and the resamples, and each runs on the device that it was trained for.
    """
    tables = [
        measure_noise(
            classifier,
            sheets,
            split,
            levels=parameters.levels,
            repeats=parameters.repeats,
            batch_size=evaluation.batch_size,
            device=classifier.description.parameters["device"],
            n_samples=evaluation.bootstrap_samples,
            seed=classifiers[0].description.seed,
        )
        for classifier in classifiers
    ]
    return pd.concat(tables, ignore_index=True)


def measure_noise(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    levels: Sequence[float],
    repeats: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    n_samples: int,
    seed: int,
) -> pd.DataFrame:
    """Score the predictions of the test sheets X + s Z, Z ~ N(0, I), at several noise levels s.

    X is what the network sees, normalised, as in the noise augmentation of the training. Z follows from seed, repeat
    and row of the sheet: every level scales the same noise and every classifier sees the same, so that differences
    between levels and between classifiers are paired; batches do not matter.

    Scores are means over the repeats. Their 95 % intervals resample the sheets, each with all its repeats: the repeats
    of a sheet are no further sheets, and pooling them would make the intervals too narrow.

    Args:
        classifier: Measured in evaluation mode.
        sheets: uint8 [N, C, h, w].
        split: The columns ``row, label, split, flip_h, flip_v``; its test sheets are predicted.
        levels: Standard deviations s in normalised grey levels; 0 needs one pass only.
        repeats: Draws of the noise.
        batch_size: Sheets in a batch.
        device: Where the network runs.
        n_samples: Resamples of the sheets.
        seed: Of noise and resampling; the resamples are those of ``metrics.bootstrap_intervals``.

    Returns:
        One row a level: ``trained_with_noise``, the training's own noise level; ``level``; ``accuracy``,
        ``balanced_accuracy``, ``f1``, ``auc`` as in ``metrics.score``; ``accuracy_low``, ``accuracy_high``,
        ``balanced_accuracy_low``, ``balanced_accuracy_high``; ``n`` sheets and ``repeats``.
    """
    examples = Examples.of(split, "test")
    rows = []
    probabilities = _noisy_probabilities(classifier, sheets, examples, levels, repeats, batch_size, device, seed)
    for level, of_repeats in probabilities.items():
        scores = pd.DataFrame([score(examples.labels, p) for p in of_repeats], dtype=float)
        rows.append(
            {
                "trained_with_noise": classifier.description.parameters["noise"],
                "level": level,
                **scores[list(SCORES)].mean().to_dict(),
                **_intervals(examples.labels, of_repeats, n_samples, seed),
                "n": len(examples),
                "repeats": len(of_repeats),
            }
        )
    return pd.DataFrame(rows)


def _noisy_probabilities(
    classifier: Classifier,
    sheets: np.ndarray,
    examples: Examples,
    levels: Sequence[float],
    repeats: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
    seed: int,
) -> dict[float, np.ndarray]:
    """Predict the examples at every level: probabilities [repeats, n, K], a single repeat at level 0."""
    target = select_device(device)
    network = place(classifier.network, target).eval()
    found: dict[float, list[list[np.ndarray]]] = {
        level: [[] for _ in range(repeats if level else 1)] for level in sorted(set(levels))
    }
    bar = tqdm(total=len(examples), desc="noise", unit="sheet")
    with bar, torch.inference_mode(), autocast(target):

        def judge(rows: slice) -> list[tuple[float, int, np.ndarray]]:
            part = examples.take(np.arange(rows.start, rows.stop))
            batch = load_batch(sheets, part, target)
            judged = []
            for repeat in range(repeats):
                noise = _draw_noise(batch, part.rows, repeat, seed)
                for level in (level for level, parts in found.items() if repeat < len(parts)):
                    logits = network(batch.add(noise, alpha=level) if level else batch)
                    judged.append((level, repeat, torch.softmax(logits.float(), dim=1).cpu().numpy()))
            return judged

        for rows, judged in in_batches(judge, len(examples), BatchSize(batch_size, "evaluation.batch_size")):
            for level, repeat, probabilities in judged:
                found[level][repeat].append(probabilities)
            bar.update(rows.stop - rows.start)
    return {level: np.stack([np.concatenate(batches) for batches in parts]) for level, parts in found.items()}


def _draw_noise(batch: torch.Tensor, rows: np.ndarray, repeat: int, seed: int) -> torch.Tensor:
    """Draw Z ~ N(0, I) for a batch [B, C, h, w], for each sheet from a generator of its own."""
    n, channels, height, width = batch.shape
    # Drawn in the memory order of channels-last: filling strided memory takes ten times as long.
    noise = torch.empty((n, height, width, channels), device=batch.device)
    generator = torch.Generator(batch.device)
    for sheet, row in zip(noise, rows, strict=True):
        (state,) = np.random.SeedSequence([seed, repeat, row]).generate_state(1, np.uint64)
        sheet.normal_(generator=generator.manual_seed(int(state >> 1)))
    return noise.permute(0, 3, 1, 2)


def _intervals(labels: np.ndarray, probabilities: np.ndarray, n_samples: int, seed: int) -> dict[str, float | None]:
    """Resample sheets with their repeats: the ends of accuracy and balanced accuracy from [repeats, n, K]."""
    hits = (probabilities.argmax(axis=2) == labels).mean(axis=0)
    is_class = np.eye(probabilities.shape[2])[labels]

    def scores(weights: np.ndarray) -> np.ndarray:
        with np.errstate(invalid="ignore"):
            recall = weights @ (is_class * hits[:, None]) / (weights @ is_class)
        return np.stack([weights @ hits / len(hits), np.nanmean(recall, axis=1)], axis=1)

    samples = bootstrap(scores, len(labels), n_samples, seed)
    ends = {}
    for name, values in zip(("accuracy", "balanced_accuracy"), samples.T, strict=True):
        ends[f"{name}_low"], ends[f"{name}_high"] = percentile_interval(values)
    return ends
