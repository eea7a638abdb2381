"""Calibration of a classifier's confidence: how far from its accuracy, and one temperature that mends it.

Guo et al., On Calibration of Modern Neural Networks, ICML 2017. The confidence of a sheet is the highest of its
softmax probabilities. All follows from labels [n] in 0..K-1 and probabilities [n, K].
"""

import logging
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.intervals import bootstrap, or_none, percentile_interval
from steel_xai.metrics import labels_and_probabilities

logger = logging.getLogger(__name__)

TEMPERATURES = (0.05, 20.0)
"""Bounds of the fitted temperature: where every validation sheet is right, the likelihood rises on and on as T -> 0."""

_SMALLEST = float(np.finfo(np.float32).tiny)
"""Softmax in float32 gives exact zeros below it, which have no logarithm."""


def calibrate(predictions: pd.DataFrame, *, bins: int, n_samples: int, seed: int, data_source: str) -> dict[str, Any]:
    """Fit a temperature on the validation sheets and measure calibration on the test sheets without and with it.

    Args:
        predictions: ``split, label, p_0 .. p_{K-1}`` of validation and test sheets.
        bins: Equal-width bins of the confidence.
        n_samples: Resamples behind the intervals.
        seed: Of the resamples.
        data_source: Written into the record.

    Returns:
        A JSON-able record: sample sizes, ``temperature``, ``at_bound`` (the temperature is one of ``TEMPERATURES``: the
        validation sheets do not determine it), and under ``test`` for ``before`` and ``after`` the temperature the
        calibration error ``ece`` with its 95 % bootstrap interval ``ece_interval`` and the range ``ece_if_calibrated``,
        ``nll``, ``brier`` and the bins of ``reliability``. The interval inherits the bias of ``ece``: where nothing is
        wrong it does not reach down to 0, and ``ece_if_calibrated`` says what comes out then.
    """
    validation_labels, validation_probabilities = labels_and_probabilities(predictions, "validation")
    labels, probabilities = labels_and_probabilities(predictions, "test")
    temperature = fit_temperature(validation_labels, validation_probabilities)
    at_bound = temperature in TEMPERATURES
    if at_bound:
        logger.warning(
            "The temperature ends at its bound %g: the %d validation sheets do not determine it.",
            temperature,
            len(validation_labels),
        )
    scaled = apply_temperature(probabilities, temperature)
    return {
        "data_source": data_source,
        "seed": seed,
        "n_classes": probabilities.shape[1],
        "n_validation": len(validation_labels),
        "n_test": len(labels),
        "temperature": temperature,
        "at_bound": at_bound,
        "test": {
            "before": _measure(labels, probabilities, bins, n_samples, seed),
            "after": _measure(labels, scaled, bins, n_samples, seed),
        },
    }


def fit_temperature(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Find the T within ``TEMPERATURES`` for which softmax(log p / T) has the lowest negative log-likelihood.

    The loss is convex in 1/T, so there is one minimum; where it lies outside the bounds, the nearer bound is returned.
    """
    from scipy.optimize import minimize_scalar

    def loss(temperature: float) -> float:
        return negative_log_likelihood(labels, apply_temperature(probabilities, temperature))

    found = minimize_scalar(lambda log_t: loss(np.exp(log_t)), bounds=np.log(TEMPERATURES), method="bounded")
    # The search approaches a bound without reaching it.
    return min(*TEMPERATURES, float(np.exp(found.x)), key=loss)


def apply_temperature(probabilities: np.ndarray, temperature: float) -> np.ndarray:
    """Compute softmax(log p / T), [n, K]: T > 1 lowers the confidence, T < 1 raises it, the predictions stay."""
    from scipy.special import softmax

    scaled: np.ndarray = softmax(_log(probabilities) / temperature, axis=1)
    return scaled


def negative_log_likelihood(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Average -log p of the labelled class, in nats; probabilities below 1.2e-38 count as that."""
    return float(-_log(probabilities)[np.arange(len(labels)), labels].mean())


def brier_score(labels: np.ndarray, probabilities: np.ndarray) -> float:
    """Average over sheets the squared distance of the probabilities from the truth, 0 to 2 (Brier 1950)."""
    truth = np.eye(probabilities.shape[1])[labels]
    return float(((probabilities - truth) ** 2).sum(axis=1).mean())


def calibration_error(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> float:
    """Compute the expected calibration error, 0 to 1: |accuracy - confidence| of the bins, averaged over sheets.

    Few sheets make it too high, since chance moves every bin away from the diagonal and no deviation counts negative.
    """
    return float(_weighted_error(labels, probabilities, bins, np.ones((1, len(labels))))[0])


def calibrated_error_range(probabilities: np.ndarray, bins: int, n_samples: int, seed: int) -> list[float | None]:
    """Simulate between which errors 95 % of perfectly calibrated classifiers with these confidences would come out.

    Each sheet is right with the probability its confidence states (consistency resampling, Broecker and Smith 2007).
    A ``calibration_error`` within the range is no evidence of miscalibration.
    """
    rng = np.random.default_rng(seed)
    confidence = probabilities.max(axis=1).astype(float)
    place = _bin(confidence, bins)
    n = len(confidence)
    gaps = [np.bincount(place, (rng.random(n) < confidence) - confidence, bins) for _ in range(n_samples)]
    return percentile_interval(np.abs(gaps).sum(axis=1) / n)


def reliability(labels: np.ndarray, probabilities: np.ndarray, bins: int) -> list[dict[str, Any]]:
    """Tabulate the reliability diagram.

    Returns:
        For each of the equal-width bins ``low < confidence <= high``, from 0 to 1: ``low``, ``high``, mean
        ``confidence`` and ``accuracy`` of its sheets (None without any) and their number ``n``.
    """
    confidence, correct = _confidence_and_correct(labels, probabilities)
    place = _bin(confidence, bins)
    counts = np.bincount(place, minlength=bins)
    with np.errstate(invalid="ignore"):
        mean_confidence = np.bincount(place, confidence, bins) / counts
        accuracy = np.bincount(place, correct, bins) / counts
    edges = np.linspace(0, 1, bins + 1)
    return [
        {
            "low": float(edges[b]),
            "high": float(edges[b + 1]),
            "confidence": or_none(mean_confidence[b]),
            "accuracy": or_none(accuracy[b]),
            "n": int(counts[b]),
        }
        for b in range(bins)
    ]


def _measure(labels: np.ndarray, probabilities: np.ndarray, bins: int, n_samples: int, seed: int) -> dict[str, Any]:
    errors = bootstrap(lambda w: _weighted_error(labels, probabilities, bins, w), len(labels), n_samples, seed)
    return {
        "ece": calibration_error(labels, probabilities, bins),
        "ece_interval": percentile_interval(errors),
        "ece_if_calibrated": calibrated_error_range(probabilities, bins, n_samples, seed),
        "nll": negative_log_likelihood(labels, probabilities),
        "brier": brier_score(labels, probabilities),
        "reliability": reliability(labels, probabilities, bins),
    }


def _weighted_error(labels: np.ndarray, probabilities: np.ndarray, bins: int, weights: np.ndarray) -> np.ndarray:
    """Compute the calibration error of many resamples at once: [S] from weights [S, n]."""
    confidence, correct = _confidence_and_correct(labels, probabilities)
    is_in_bin = np.eye(bins)[_bin(confidence, bins)]
    gaps = weights @ (is_in_bin * (correct - confidence)[:, None])
    error: np.ndarray = np.abs(gaps).sum(axis=1) / weights.sum(axis=1)
    return error


def _confidence_and_correct(labels: np.ndarray, probabilities: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return probabilities.max(axis=1).astype(float), probabilities.argmax(axis=1) == labels


def _bin(confidence: np.ndarray, bins: int) -> np.ndarray:
    """Number the bin (b / bins, (b + 1) / bins] of each confidence, [n]."""
    place: np.ndarray = np.digitize(confidence, np.linspace(0, 1, bins + 1)[1:-1], right=True)
    return place


def _log(probabilities: np.ndarray) -> np.ndarray:
    log: np.ndarray = np.log(np.maximum(probabilities.astype(float), _SMALLEST))
    return log
