"""The evaluation of a trained classifier on its test sheets, in one record that says what it was made from."""

import logging
from typing import Any, Literal

import numpy as np
import pandas as pd

from steel_xai.classifier import Classifier
from steel_xai.inference import milliseconds_per_batch
from steel_xai.metrics import bootstrap_intervals, score
from steel_xai.parameters import EvaluationParameters

logger = logging.getLogger(__name__)


def labels_and_probabilities(predictions: pd.DataFrame, split: str) -> tuple[np.ndarray, np.ndarray]:
    """Take labels [n] and probabilities [n, K] of one split from a table of predictions."""
    part = predictions[predictions["split"] == split]
    return part["label"].to_numpy(), part.filter(regex=r"^p_\d+$").to_numpy()


def evaluate(
    classifier: Classifier,
    predictions: pd.DataFrame,
    baseline_probabilities: np.ndarray,
    sheets: np.ndarray,
    *,
    parameters: EvaluationParameters,
    device: Literal["auto", "cpu", "cuda"],
) -> dict[str, Any]:
    """Score the test predictions of a classifier and of the baseline, each score with its 95 % bootstrap interval.

    Args:
        classifier: What made the predictions.
        predictions: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``.
        baseline_probabilities: The baseline's, for the same test sheets in the same order, [n_test, K].
        sheets: uint8 [N, C, h, w], for the time that a batch of 5 takes.
        parameters: Number of resamples and of timed runs.
        device: Where the time is taken.

    Returns:
        A JSON-able record: origin of the model, sample sizes, scores and intervals of model and baseline, times.
    """
    about = classifier.description
    labels, probabilities = labels_and_probabilities(predictions, "test")
    n_samples, seed = parameters.bootstrap_samples, about.seed
    record: dict[str, Any] = {
        "data_source": about.data_source,
        "model": about.architecture,
        "weights": about.weights,
        "seed": about.seed,
        "best_epoch": about.best_epoch,
        "interrupted": about.interrupted,
        "n_train": about.n_train,
        "n_validation": int((predictions["split"] == "validation").sum()),
        "n_test": len(labels),
        "n_test_by_class": {name: int((labels == k).sum()) for k, name in enumerate(about.outputs)},
        "test": score(labels, probabilities),
        "test_intervals": bootstrap_intervals(labels, probabilities, n_samples, seed),
        "baseline": score(labels, baseline_probabilities),
        "baseline_intervals": bootstrap_intervals(labels, baseline_probabilities, n_samples, seed),
        "ms_per_batch_of_5": milliseconds_per_batch(
            classifier, sheets, repeats=parameters.timing_repeats, device=device
        ),
        "seconds_training": about.seconds_training,
        "sheets_fingerprint": about.sheets_fingerprint,
        "split_fingerprint": about.split_fingerprint,
    }
    logger.info(
        "%s (%s weights), %d test sheets of '%s': %s; logistic regression on pixels: %s",
        about.architecture,
        about.weights,
        len(labels),
        about.data_source,
        _in_words(record["test"], record["test_intervals"]),
        _in_words(record["baseline"], record["baseline_intervals"]),
    )
    return record


def _in_words(scores: dict[str, float | None], intervals: dict[str, list[float | None]]) -> str:
    """Name each defined score with its interval."""
    return ", ".join(
        f"{name} {value:.3f} [{low:.3f}, {high:.3f}]"
        for name, value in scores.items()
        for low, high in [intervals[name]]
        if value is not None and low is not None and high is not None
    )
