"""The evaluation of a trained classifier on its test sheets, in one record that says what it was made from."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from steel_xai.classifier import Classifier
from steel_xai.evaluation.abstention import measure_abstention
from steel_xai.evaluation.detection import measure_detection
from steel_xai.inference import milliseconds_per_batch
from steel_xai.metrics import bootstrap_intervals, class_intervals, class_scores, labels_and_probabilities, score
from steel_xai.parameters import EvaluationParameters
from steel_xai.sheets.flips import count_distinct

logger = logging.getLogger(__name__)


def evaluate(
    classifier: Classifier,
    predictions: pd.DataFrame,
    baseline_probabilities: np.ndarray,
    sheets: np.ndarray,
    index: pd.DataFrame,
    split: pd.DataFrame,
    *,
    class_names: Sequence[str],
    data_source: str,
    raw_size: tuple[int, int],
    parameters: EvaluationParameters,
    device: Literal["auto", "cpu", "cuda"],
) -> dict[str, Any]:
    """Score the test predictions of a classifier and of the baseline, each score with its 95 % bootstrap interval.

    Args:
        classifier: What made the predictions.
        predictions: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``.
        baseline_probabilities: The baseline's, for the same test sheets in the same order, [n_test, K].
        sheets: uint8 [N, C, h, w], for the time that a batch of 5 takes.
        index: The ``sheet_index``, for classes and sizes of the defects.
        split: That trained the classifier, copies included.
        class_names: The K defect classes.
        data_source: Of the sheets; the classifier's own may be another.
        raw_size: Height and width of the raw sheets in pixels.
        parameters: Number of resamples and of timed runs, and what is asked of the thresholds.
        device: Where the time is taken.

    Returns:
        A JSON-able record: origin of the model, sample sizes, scores and intervals of model and baseline, those of each
        class, "I don't know" (``abstention``), missed defects (``detection``), times.
    """
    about = classifier.description
    labels, probabilities = labels_and_probabilities(predictions, "test")
    n_samples, seed = parameters.bootstrap_samples, about.seed
    record: dict[str, Any] = {
        "data_source": data_source,
        "model_trained_on": about.data_source,
        "model": about.architecture,
        "weights": about.weights,
        "seed": about.seed,
        "best_epoch": about.best_epoch,
        "interrupted": about.interrupted,
        "n_train": about.n_train,
        "n_train_by_class": _training_pictures(split, about.outputs) if data_source == about.data_source else None,
        "n_left_out": len(index) - int((split["copy"] == 0).sum()),
        "n_validation": int((predictions["split"] == "validation").sum()),
        "n_test": len(labels),
        "n_test_by_class": {name: int((labels == k).sum()) for k, name in enumerate(about.outputs)},
        "test": score(labels, probabilities),
        "test_intervals": bootstrap_intervals(labels, probabilities, n_samples, seed),
        "test_by_class": _by_class(labels, probabilities, about.outputs, n_samples, seed),
        "baseline": score(labels, baseline_probabilities),
        "baseline_intervals": bootstrap_intervals(labels, baseline_probabilities, n_samples, seed),
        "abstention": measure_abstention(predictions, parameters.target_accuracy, n_samples, seed),
        "detection": measure_detection(
            predictions,
            index,
            false_alarm_rate=parameters.false_alarm_rate,
            class_names=class_names,
            raw_size=raw_size,
            n_samples=n_samples,
            seed=seed,
        ),
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
        data_source,
        _in_words(record["test"], record["test_intervals"]),
        _in_words(record["baseline"], record["baseline_intervals"]),
    )
    return record


def _training_pictures(split: pd.DataFrame, outputs: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the training sheets of each output, their flipped copies, and how many pictures among both differ."""
    counts = count_distinct(split).set_index("label").to_dict("index")
    none = {"sheets": 0, "copies": 0, "distinct_pictures": 0}
    return {name: {kind: int(n) for kind, n in counts.get(label, none).items()} for label, name in enumerate(outputs)}


def _by_class(
    labels: np.ndarray, probabilities: np.ndarray, outputs: Sequence[str], n_samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Score each output on its own, with intervals."""
    scores = class_scores(labels, probabilities)
    intervals = class_intervals(labels, probabilities, n_samples, seed)
    return {name: {**one, "intervals": ends} for name, one, ends in zip(outputs, scores, intervals, strict=True)}


def _in_words(scores: dict[str, float | None], intervals: dict[str, list[float | None]]) -> str:
    """Name each defined score with its interval."""
    return ", ".join(
        f"{name} {value:.3f} [{low:.3f}, {high:.3f}]"
        for name, value in scores.items()
        for low, high in [intervals[name]]
        if value is not None and low is not None and high is not None
    )
