"""The evaluation of a classifier of several classes a sheet, in one record that says what it was made from."""

import logging
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
import pandas as pd

from steel_xai.classifier import Classifier
from steel_xai.evaluation.label_sets import scores_of_classes, set_intervals, set_scores, truth_and_predictions
from steel_xai.evaluation.thresholds import MIN_POSITIVES
from steel_xai.inference import milliseconds_per_batch
from steel_xai.objectives import label_bits
from steel_xai.parameters import EvaluationParameters
from steel_xai.sheets.annotations import NO_DEFECT
from steel_xai.sheets.flips import count_distinct

logger = logging.getLogger(__name__)

_NAMED_SCORES = ("accuracy", "exact_match_ratio", "hamming_loss", "macro_f1", "auc")
"""Those that the log names."""


def evaluate_multilabel(
    classifier: Classifier,
    predictions: pd.DataFrame,
    thresholds: pd.DataFrame,
    baseline_predictions: pd.DataFrame,
    baseline_thresholds: pd.DataFrame,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    data_source: str,
    parameters: EvaluationParameters,
    device: Literal["auto", "cpu", "cuda"],
) -> dict[str, Any]:
    """Score the test predictions of a classifier and of the baseline, each score with its 95 % bootstrap interval.

    Args:
        classifier: What made the predictions.
        predictions: As ``label_sets.predict_sets`` makes them.
        thresholds: Those that they were made with, as ``thresholds.choose_thresholds`` chose them.
        baseline_predictions: The baseline's, of the same sheets.
        baseline_thresholds: The baseline's own.
        sheets: uint8 [N, C, h, w], for the time that a batch of 5 takes.
        split: That trained the classifier, copies included.
        data_source: Of the sheets; the classifier's own may be another.
        parameters: Number of resamples and of timed runs.
        device: Where the time is taken.

    Returns:
        A JSON-able record: origin of the model, sample sizes, ``thresholds`` by class, scores (``test``) and intervals
        of model and baseline, those of each class, the model's scores with 0.5 in place of its thresholds
        (``test_at_half``), times.
    """
    about = classifier.description
    truth, predicted, probabilities = truth_and_predictions(predictions, "test")
    compared = truth_and_predictions(baseline_predictions, "test")
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
        "n_validation": int((predictions["split"] == "validation").sum()),
        "n_test": len(truth),
        "n_test_by_class": {
            NO_DEFECT: int((~truth.any(axis=1)).sum()),
            **dict(zip(about.outputs, truth.sum(axis=0).tolist(), strict=True)),
        },
        "n_test_of_several_classes": int((truth.sum(axis=1) > 1).sum()),
        "thresholds": dict(zip(thresholds["output"], thresholds["threshold"], strict=True)),
        "thresholds_not_chosen": thresholds.loc[~thresholds["chosen"], "output"].tolist(),
        "test": set_scores(truth, predicted, probabilities),
        "test_intervals": set_intervals(truth, predicted, probabilities, n_samples, seed),
        "test_by_class": dict(
            zip(about.outputs, scores_of_classes(truth, predicted, probabilities, n_samples, seed), strict=True)
        ),
        "test_at_half": set_scores(truth, probabilities >= 0.5, probabilities),
        "baseline": set_scores(*compared),
        "baseline_intervals": set_intervals(*compared, n_samples, seed),
        "baseline_by_class": dict(zip(about.outputs, scores_of_classes(*compared, n_samples, seed), strict=True)),
        "baseline_thresholds": dict(zip(about.outputs, baseline_thresholds["threshold"], strict=True)),
        "ms_per_batch_of_5": milliseconds_per_batch(
            classifier, sheets, repeats=parameters.timing_repeats, device=device
        ),
        "seconds_training": about.seconds_training,
        "sheets_fingerprint": about.sheets_fingerprint,
        "split_fingerprint": about.split_fingerprint,
    }
    if record["thresholds_not_chosen"]:
        logger.warning(
            "Fewer than %d validation sheets have %s, too few to choose a threshold: it is 0.5",
            MIN_POSITIVES,
            ", ".join(f"'{name}'" for name in record["thresholds_not_chosen"]),
        )
    logger.info(
        "%s (%s weights), classes of %d test sheets of '%s': %s; logistic regression on pixels: %s",
        about.architecture,
        about.weights,
        len(truth),
        data_source,
        _in_words(record["test"], record["test_intervals"]),
        _in_words(record["baseline"], record["baseline_intervals"]),
    )
    return record


def _training_pictures(split: pd.DataFrame, outputs: Sequence[str]) -> dict[str, dict[str, int]]:
    """Count the training sheets of each class and of none, their flipped copies, and how many pictures differ."""
    present = label_bits(split["label"].to_numpy(), len(outputs))
    groups = {NO_DEFECT: ~present.any(axis=1), **dict(zip(outputs, present.T, strict=True))}
    none = {"sheets": 0, "copies": 0, "distinct_pictures": 0}
    result = {}
    for name, chosen in groups.items():
        counts = count_distinct(split[chosen].assign(label=0)).set_index("label").to_dict("index")
        result[name] = {kind: int(n) for kind, n in counts.get(0, none).items()}
    return result


def _in_words(scores: dict[str, float | None], intervals: dict[str, list[float | None]]) -> str:
    """Name each defined score with its interval."""
    parts = []
    for name in _NAMED_SCORES:
        value, (low, high) = scores[name], intervals[name]
        if value is not None and low is not None and high is not None:
            parts.append(f"{name} {value:.3f} [{low:.3f}, {high:.3f}]")
    return ", ".join(parts)
