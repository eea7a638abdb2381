"""The variants of a task's model, each trained and evaluated alike, one row each.

A finished variant leaves its row in a file of its own, under a key of all that it was made from: a run that was killed
goes on with the next variant, and within one from its last epoch.
"""

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import numpy as np
import pandas as pd

from steel_xai.description import library_versions
from steel_xai.device import select_device
from steel_xai.errors import DiskError, InputError
from steel_xai.evaluation.baseline import baseline_probabilities
from steel_xai.fingerprint import fingerprint
from steel_xai.finished import Row, finished_row
from steel_xai.inference import milliseconds_per_batch, predict
from steel_xai.locks import exclusive
from steel_xai.metrics import SCORES, bootstrap_intervals, labels_and_probabilities, score
from steel_xai.parameters import (
    ComparisonParameters,
    EvaluationParameters,
    SplitParameters,
    StainDetectionParameters,
    VariantParameters,
)
from steel_xai.sheets.splits import draw_split, output_names
from steel_xai.training import train_classifier

BASELINE = "logistic_regression"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Study:
    """What all variants of a comparison have in common."""

    sheets: np.ndarray
    masks: np.ndarray
    index: pd.DataFrame
    class_names: list[str]
    evaluation: EvaluationParameters
    seed: int
    data_source: str
    white_stains: StainDetectionParameters


def select_variants(
    comparison: ComparisonParameters, device: Literal["auto", "cpu", "cuda"]
) -> dict[str, VariantParameters]:
    """Choose the variants to run: those named, or all but, on a CPU, the slow ones, which one log line names."""
    variants = comparison.variants
    if comparison.run != "auto":
        return {name: variants[name] for name in comparison.run}
    if select_device(device).type != "cpu":
        return dict(variants)
    left_out = [name for name, variant in variants.items() if variant.slow_on_cpu]
    if left_out:
        logger.info(
            "Left out on a CPU, where they take hours: %s; comparison.run names those to run nevertheless.",
            ", ".join(left_out),
        )
    return {name: variant for name, variant in variants.items() if not variant.slow_on_cpu}


def compare(
    study: Study, variants: Mapping[str, VariantParameters], splits: SplitParameters, *, folder: Path
) -> pd.DataFrame:
    """Train and evaluate variants one after the other, and logistic regression on pixels beside them.

    A variant that these data cannot train keeps its row, with the reason as ``problem`` and without scores.

    Args:
        study: Data and settings of all variants.
        variants: By name.
        splits: Of the task itself, from which the baseline learns.
        folder: Holds a folder for each variant.

    Returns:
        One row a variant: ``variant, model, weights``; ``accuracy, balanced_accuracy, f1, auc`` of the test sheets,
        each with ``_low`` and ``_high`` of its 95 % bootstrap interval; ``ms_per_batch_of_5, parameters`` (numbers in
        the network), ``n_train, n_test, best_epoch, epochs_run, seconds_training, seed, data_source``, the
        ``published_`` scores and time, and ``problem``.

    Raises:
        InputError: No variant could be trained; or another run works in the folder.
        DiskError: A finished variant cannot be kept.
    """
    with exclusive(folder):  # or two runs at once would take turns, and each leave out what the other trains
        rows = _rows(study, variants, splits, folder)
    if variants and all(row.get("problem") for row in rows[1:]):
        raise InputError(f"no variant could be trained; the last: {rows[-1]['problem']}")
    return pd.DataFrame(rows).reindex(columns=_columns())


def _rows(study: Study, variants: Mapping[str, VariantParameters], splits: SplitParameters, folder: Path) -> list[Row]:
    common = [
        fingerprint(study.sheets, study.masks, study.index),
        [study.class_names, study.evaluation.model_dump(mode="json"), study.seed, study.data_source],
        study.white_stains.model_dump(mode="json"),
        library_versions(),
    ]
    rows = [
        finished_row(folder / BASELINE, [*common, splits.model_dump(mode="json")], partial(_baseline, study, splits))
    ]
    for number, (name, variant) in enumerate(variants.items(), start=1):
        logger.info("Variant %d of %d: %s", number, len(variants), name)
        published = {} if variant.published is None else variant.published.model_dump()
        settings = variant.model_dump(mode="json", include={"splits", "training"})
        try:
            row = finished_row(folder / name, [*common, settings], partial(_train, study, variant, folder / name))
        except DiskError:
            raise
        except InputError as error:
            logger.warning("Variant %s was left out: %s", name, error)
            row = {"model": variant.training.architecture, "problem": str(error)}
        rows.append({"variant": name, **row, **{f"published_{key}": value for key, value in published.items()}})
    return rows


def _baseline(study: Study, splits: SplitParameters) -> Row:
    split = draw_split(study.index, splits, study.class_names, study.seed)
    n_classes = len(output_names(splits.labels, study.class_names))
    settings = study.evaluation.baseline
    probabilities = baseline_probabilities(study.sheets, split, settings, study.seed, n_classes)
    labels = split.loc[split["split"] == "test", "label"].to_numpy()
    pixels = study.sheets.shape[1] * settings.size[0] * settings.size[1]
    return {
        "variant": BASELINE,
        "model": BASELINE,
        **_scores(labels, probabilities, study),
        "parameters": (pixels + 1) * (1 if n_classes == 2 else n_classes),
        "n_train": int((split["split"] == "train").sum()),
    }


def _train(study: Study, variant: VariantParameters, folder: Path) -> Row:
    split = draw_split(study.index, variant.splits, study.class_names, study.seed)
    classifier, _ = train_classifier(
        study.sheets,
        split,
        outputs=output_names(variant.splits.labels, study.class_names),
        parameters=variant.training,
        seed=study.seed,
        folder=folder,
        data_source=study.data_source,
        masks=study.masks,
        white_stains=study.white_stains,
    )
    about = classifier.description
    if about.interrupted:
        raise KeyboardInterrupt
    device, repeats = variant.training.device, study.evaluation.timing_repeats
    predictions = predict(classifier, study.sheets, split, batch_size=study.evaluation.batch_size, device=device)
    return {
        "model": about.architecture,
        "weights": about.weights,
        **_scores(*labels_and_probabilities(predictions, "test"), study),
        "ms_per_batch_of_5": milliseconds_per_batch(classifier, study.sheets, repeats=repeats, device=device),
        "parameters": sum(weight.numel() for weight in classifier.network.parameters()),
        "n_train": about.n_train,
        "best_epoch": about.best_epoch,
        "epochs_run": about.epochs_run,
        "seconds_training": about.seconds_training,
    }


def _scores(labels: np.ndarray, probabilities: np.ndarray, study: Study) -> Row:
    """Score the test sheets, with intervals."""
    intervals = bootstrap_intervals(labels, probabilities, study.evaluation.bootstrap_samples, study.seed)
    row: Row = {"n_test": len(labels), "seed": study.seed, "data_source": study.data_source}
    for name, value in score(labels, probabilities).items():
        row[name] = value
        row[f"{name}_low"], row[f"{name}_high"] = intervals[name]
    return row


def _columns() -> list[str]:
    scores = [f"{name}{end}" for name in SCORES for end in ("", "_low", "_high")]
    published = [f"published_{name}" for name in (*SCORES, "ms_per_batch_of_5")]
    own = ["ms_per_batch_of_5", "parameters", "n_train", "n_test", "best_epoch", "epochs_run", "seconds_training"]
    return ["variant", "model", "weights", *scores, *own, "seed", "data_source", *published, "problem"]
