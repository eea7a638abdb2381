"""Scores of the cascade's steps and of its set-ups on test sheets, and what each step gains."""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.cascade.held_out import HeldOut, arrays_of
from steel_xai.cascade.steps import Steps
from steel_xai.cascade.thresholds import SETUPS, WHOLE, read_thresholds
from steel_xai.inference import milliseconds_per_batch
from steel_xai.intervals import bootstrap, mean_with_interval, or_none, percentile_interval
from steel_xai.parameters.cascade import CascadeParameters
from steel_xai.segmentation.scores import sheet_means
from steel_xai.segmentation.segmenter import milliseconds_per_sheet
from steel_xai.segmentation.summary import ALL_SHEETS, SHEETS_WITH_CLASS, in_words

EMPTY = "empty"
"""The submission that finds nothing anywhere."""

GAINS = {
    "gate": ("gate_unets", "unets"),
    "labels": ("labels_unets", "unets"),
    "labels_after_gate": (WHOLE, "gate_unets"),
    "gate_and_labels": (WHOLE, "unets"),
    "whole_over_empty": (WHOLE, EMPTY),
}
"""Which set-up is compared with which."""

_TIMED_BATCH = 5

logger = logging.getLogger(__name__)


def measure_cascade(
    steps: Steps,
    sheets: np.ndarray,
    predictions: pd.DataFrame,
    counts: pd.DataFrame,
    chosen: Mapping[str, Any],
    *,
    data_source: str,
    parameters: CascadeParameters,
    seed: int,
) -> dict[str, Any]:
    """Score the steps and the set-ups on the test sheets.

    Args:
        steps: The models.
        sheets: uint8 [N, C, h, w], for the timing.
        predictions: As `held_out.predict_held_out` returns them.
        counts: Likewise.
        chosen: As `thresholds.choose_thresholds` returns it.
        data_source: Name of the data.
        parameters: Of the cascade.
        seed: Of the resamples behind the 95 % intervals.

    Returns:
        ``models`` of the steps with their ``ms_per_sheet``; ``gate`` and ``labels``, the classifications by the whole
        cascade's thresholds, see `classification`; ``setups``, see `score_setup`, the all-empty one among them;
        ``gains``, paired differences of the Dice by ``GAINS``; numbers of sheets.
    """
    test = arrays_of(predictions, counts, "test")
    names = list(steps.class_names)
    is_defective = np.any(test.true > 0, axis=1)
    how = {"n_samples": parameters.bootstrap_samples, "seed": seed}
    models = describe_models(steps, sheets, parameters)
    dice = {EMPTY: test.empty_dice()}
    setups = {EMPTY: score_setup(dice[EMPTY], test.true, names, **how)}
    for setup in SETUPS:
        thresholds = read_thresholds(chosen[setup], names)
        runs = thresholds.runs(test.gate, test.labels)
        dice[setup] = dice_of_setup(test, runs, thresholds.minimum_areas)
        setups[setup] = {
            **score_setup(dice[setup], test.true, names, **how),
            **cost_of_setup(setup, thresholds.passes(test.gate), runs, models, names),
            "thresholds": chosen[setup],
        }
    shown = (("whole", WHOLE), ("masks alone", "unets"), ("finding nothing", EMPTY))
    logger.info(
        "Cascade, test sheets of '%s', mean Dice over all sheets and classes: %s",
        data_source,
        ", ".join(f"{name} {in_words(setups[setup]['dice'][ALL_SHEETS]['mean'])}" for name, setup in shown),
    )
    whole = read_thresholds(chosen[WHOLE], names)
    passed = whole.passes(test.gate)
    return {
        "data_source": data_source,
        "seed": seed,
        "n_validation": int((predictions["split"] == "validation").sum()),
        "n_test": len(test.rows),
        "n_test_with_defect": int(is_defective.sum()),
        "models": models,
        "gate": classification(passed, is_defective, **how),
        "labels": _score_labels(test, passed, whole.runs(test.gate, test.labels), names, how),
        "setups": setups,
        "gains": {name: compare(dice[one], dice[other], test.true, **how) for name, (one, other) in GAINS.items()},
    }


def dice_of_setup(test: HeldOut, runs: np.ndarray, minimum_areas: Sequence[int]) -> np.ndarray:
    """Compute the Dice [n, K] of a set-up: networks run where ``runs`` [n, K] says so, elsewhere masks are empty."""
    places = np.searchsorted(test.areas, minimum_areas)
    found = test.dice()[places, :, np.arange(len(places))].T
    return np.where(runs, found, test.empty_dice())


def score_setup(
    dice: np.ndarray, true: np.ndarray, class_names: Sequence[str], *, n_samples: int, seed: int
) -> dict[str, Any]:
    """Average the Dice with 95 % intervals, in the words of ``segmentation.metrics``.

    Args:
        dice: [n, K].
        true: Pixels of each class [n, K].
        class_names: The K classes.
        n_samples: Resamples of the sheets.
        seed: Of the resamples.

    Returns:
        ``dice`` over ``all_sheets``, whose ``mean`` is Kaggle's score, and over ``sheets_with_class``, each
        ``by_class`` and as ``mean`` over a sheet's classes (its own ones for the latter): ``mean, low, high, n``.
    """
    parts = {ALL_SHEETS: dice, SHEETS_WITH_CLASS: np.where(true > 0, dice, np.nan)}
    return {
        "dice": {
            name: {
                "mean": _mean(sheet_means(values), n_samples, seed),
                "by_class": {
                    of_class: _mean(column, n_samples, seed)
                    for of_class, column in zip(class_names, values.T, strict=True)
                },
            }
            for name, values in parts.items()
        }
    }


def cost_of_setup(
    setup: str, passed: np.ndarray, runs: np.ndarray, models: Mapping[str, Any], class_names: Sequence[str]
) -> dict[str, Any]:
    """Say how much of the work a set-up does.

    Returns:
        ``share_past_gate`` of sheets and ``networks_per_sheet`` that run; ``saved_by_gate`` and ``saved_by_labels``,
        shares of all the networks' runs; and ``ms_per_sheet``, the steps' times weighted by the shares of sheets that
        reach them.
    """
    has_gate, has_labels = SETUPS[setup]
    past_gate = float(passed.mean())
    of_networks = [models["unets"][name]["ms_per_sheet"] for name in class_names]
    milliseconds = float(runs.mean(axis=0) @ of_networks)
    milliseconds += models["gate"]["ms_per_sheet"] if has_gate else 0
    milliseconds += models["labels"]["ms_per_sheet"] * past_gate if has_labels else 0
    return {
        "share_past_gate": past_gate,
        "networks_per_sheet": float(runs.sum(axis=1).mean()),
        "saved_by_gate": 1 - past_gate,
        "saved_by_labels": past_gate - float(runs.mean()),
        "ms_per_sheet": milliseconds,
    }


def classification(predicted: np.ndarray, true: np.ndarray, *, n_samples: int, seed: int) -> dict[str, Any]:
    """Compute precision, recall and F1 of yes or no, with ``intervals`` (95 %) that resample the sheets.

    Args:
        predicted: bool [n].
        true: bool [n].
        n_samples: Resamples.
        seed: Of the resamples.

    Returns:
        The three, None where undefined, their ``intervals``, ``true_positives, false_positives, false_negatives, n``.
    """
    parts = np.stack([predicted & true, predicted & ~true, ~predicted & true], axis=1).astype(float)

    def scores(weights: np.ndarray) -> np.ndarray:
        hits, false, missed = np.moveaxis(weights @ parts, -1, 0)
        with np.errstate(invalid="ignore"):
            return np.stack([hits / (hits + false), hits / (hits + missed), 2 * hits / (2 * hits + false + missed)], -1)

    names = ("precision", "recall", "f1")
    n = len(true)
    values = scores(np.ones((1, n)))[0]
    resampled = bootstrap(scores, n, n_samples, seed) if n else np.full((1, 3), np.nan)
    counted = [int(count) for count in parts.sum(axis=0)]
    return {
        **{name: or_none(value) for name, value in zip(names, values, strict=True)},
        "intervals": {name: percentile_interval(column) for name, column in zip(names, resampled.T, strict=True)},
        **dict(zip(("true_positives", "false_positives", "false_negatives"), counted, strict=True)),
        "n": n,
    }


def compare(
    one: np.ndarray, other: np.ndarray, true: np.ndarray, *, n_samples: int, seed: int
) -> dict[str, dict[str, Any]]:
    """Average the differences of the Dice [n, K] of two set-ups, one less other, in pairs on the same sheets."""
    difference = one - other
    return {
        f"dice_{ALL_SHEETS}": _mean(sheet_means(difference), n_samples, seed),
        f"dice_{SHEETS_WITH_CLASS}": _mean(sheet_means(np.where(true > 0, difference, np.nan)), n_samples, seed),
    }


def describe_models(steps: Steps, sheets: np.ndarray, parameters: CascadeParameters) -> dict[str, Any]:
    """Say what each step's model is, and time it for a sheet in a batch of 5."""
    device, repeats = parameters.training.device, parameters.timing_repeats
    shown = {"architecture", "weights", "seed", "data_source", "n_train", "best_epoch", "interrupted"}
    models: dict[str, Any] = {
        name: {
            **model.description.model_dump(include=shown),
            "ms_per_sheet": milliseconds_per_batch(model, sheets, repeats=repeats, device=device) / _TIMED_BATCH,
        }
        for name, model in (("gate", steps.gate), ("labels", steps.labels))
    }
    models["unets"] = {
        name: {
            **steps.unets[number].description.model_dump(include=shown | {"encoder", "loss"}),
            "ms_per_sheet": milliseconds_per_sheet(steps.unets[number], sheets, repeats=repeats, device=device),
        }
        for number, name in enumerate(steps.class_names, start=1)
    }
    return models


def _score_labels(
    test: HeldOut, passed: np.ndarray, runs: np.ndarray, class_names: Sequence[str], how: dict[str, int]
) -> dict[str, Any]:
    """Score the label step as it sees sheets, those past the gate, and end to end over all of them."""
    true = test.true > 0
    parts = {"past_gate": passed, "end_to_end": np.ones_like(passed)}
    return {
        name: {
            "by_class": {
                of_class: classification(runs[chosen, k], true[chosen, k], **how)
                for k, of_class in enumerate(class_names)
            },
            "all_classes": classification(runs[chosen].ravel(), true[chosen].ravel(), **how) | {"n": int(chosen.sum())},
        }
        for name, chosen in parts.items()
    }


def _mean(values: np.ndarray, n_samples: int, seed: int) -> dict[str, Any]:
    mean = mean_with_interval(values, n_samples, seed)
    return {name: or_none(value) if isinstance(value, float) else value for name, value in mean.items()}
