"""The audit on samples whose answer is known: does it find the shortcut where it was planted, and only there?"""

import logging
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.description import library_versions
from steel_xai.finished import Row, finished_row
from steel_xai.inference import predict
from steel_xai.locks import exclusive
from steel_xai.metrics import labels_and_probabilities, score
from steel_xai.parameters import (
    AuditCheckParameters,
    ProcessingParameters,
    SampleParameters,
    SplitParameters,
    StainAuditParameters,
    TrainingParameters,
)
from steel_xai.sheets.annotations import read_annotations
from steel_xai.sheets.indexing import index_sheets
from steel_xai.sheets.processing import process_sheets
from steel_xai.sheets.sample import generate_sample
from steel_xai.sheets.splits import draw_split, output_names
from steel_xai.stain_audit.study import audit_stains, intervene_on_stains
from steel_xai.training import train_classifier

PLANTED, EQUAL = "planted", "equal"
SOURCE = "sample"

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """All parameters of one check: of the samples, the models that are trained on them, and the audit."""

    check: AuditCheckParameters
    sample: SampleParameters
    processing: ProcessingParameters
    splits: SplitParameters
    training: TrainingParameters
    audit: StainAuditParameters
    class_names: list[str]
    raw_size: tuple[int, int]
    tensor_size: tuple[int, int]
    channels: int
    prediction_batch_size: int


def check_known_answers(settings: Settings, *, folder: Path) -> pd.DataFrame:
    """Make samples with and without the planted shortcut, train a classifier on each and audit it.

    A finished sample leaves its row in ``folder``; the same call goes on behind it.

    Args:
        settings: Of samples, training and audit.
        folder: Where samples and checkpoints are kept while they are needed.

    Returns:
        One row a sample: ``condition`` (``planted``: the sample's own stain rates; ``equal``: one rate for defective
        and defect-free sheets), ``seed``; ``n_sheets, n_attributed, n_plain``; ``auc`` of the classifier;
        ``p_value, effect_size`` of the observational test; ``paste_shift, paste_p_value, plain_patch_shift,
        removal_shift``; ``verdict``, and ``right``: whether that is what was planted; ``seconds_training,
        seconds_audit``.

    Raises:
        InputError: Another run works in the folder.
    """
    with exclusive(folder):
        return _check(settings, folder)


def _check(settings: Settings, folder: Path) -> pd.DataFrame:
    conditions = {
        PLANTED: settings.sample.stain_rate.model_dump(),
        EQUAL: {"defect_free": settings.check.equal_rate, "defective": settings.check.equal_rate},
    }
    rows = []
    for seed in settings.check.seeds:
        for condition, rates in conditions.items():
            sample = SampleParameters.model_validate(
                settings.sample.model_dump()
                | {"seed": seed, "n_sheets": settings.check.n_sheets, "n_unlabelled": 0, "stain_rate": rates}
            )
            place = folder / f"{condition}_{seed}"
            made_from = [sample.model_dump(mode="json"), *_made_from(settings), library_versions()]
            row = finished_row(place, made_from, partial(_audit_sample, sample, settings, place))
            rows.append({"condition": condition, "seed": seed, **row, "right": _is_right(condition, row["verdict"])})
            logger.info("%s, seed %d: %s", condition, seed, row["verdict"])
    return pd.DataFrame(rows)


def rates(table: pd.DataFrame) -> str:
    """Say in words how often the audit was right."""
    planted, equal = (table[table["condition"] == condition] for condition in (PLANTED, EQUAL))
    return (
        f"found {int((planted['verdict'] == 'shortcut').sum())} of {len(planted)} planted shortcuts, "
        f"{int((equal['verdict'] == 'shortcut').sum())} false alarms in {len(equal)} samples without one"
    )


def _is_right(condition: str, verdict: str) -> bool:
    return verdict == ("shortcut" if condition == PLANTED else "no evidence")


def _made_from(settings: Settings) -> list[Any]:
    parts: Sequence[Any] = (settings.processing, settings.splits, settings.training, settings.audit)
    return [
        *(part.model_dump(mode="json") for part in parts),
        [settings.class_names, settings.raw_size, settings.tensor_size, settings.channels],
    ]


def _audit_sample(sample: SampleParameters, settings: Settings, folder: Path) -> Row:
    raw, work = folder / "raw", folder / "work"
    for place in (raw, work):
        shutil.rmtree(place, ignore_errors=True)
    generate_sample(raw, sample)
    work.mkdir(parents=True)
    sheets, masks, index = _process(raw, settings, work)
    split = draw_split(index, settings.splits, settings.class_names, sample.seed)
    device = settings.training.device
    classifier, _ = train_classifier(
        sheets,
        split,
        outputs=output_names(settings.splits.labels, settings.class_names),
        parameters=settings.training,
        seed=sample.seed,
        folder=folder / "training",
        data_source=SOURCE,
        masks=masks,
        white_stains=settings.processing.white_stains,
    )
    if classifier.description.interrupted:
        raise KeyboardInterrupt
    predictions = predict(classifier, sheets, split, batch_size=settings.prediction_batch_size, device=device)
    begin = time.perf_counter()
    stains = settings.processing.white_stains
    found = intervene_on_stains(classifier, sheets, masks, index, split, settings.audit, stains, device=device)
    record, _ = audit_stains(
        classifier, predictions, sheets, index, found.record, settings.audit, stains, device=device, data_source=SOURCE
    )
    seconds = time.perf_counter() - begin
    for place in (raw, work, folder / "training"):
        shutil.rmtree(place, ignore_errors=True)
    return {
        "n_sheets": len(sheets),
        "n_attributed": record["group_sizes"]["attributed"],
        "n_plain": record["group_sizes"]["plain"],
        "auc": score(*labels_and_probabilities(predictions, "test"))["auc"],
        "p_value": record["p_value"],
        "effect_size": record["effect_size"],
        "paste_shift": record["paste"]["median_shift"],
        "paste_p_value": record["paste"]["p_value"],
        "plain_patch_shift": record["plain_patch"]["median_shift"],
        "removal_shift": record["removal"]["median_shift"],
        "verdict": record["verdict"],
        "seconds_training": classifier.description.seconds_training,
        "seconds_audit": seconds,
    }


def _process(raw: Path, settings: Settings, work: Path) -> tuple[np.ndarray, np.ndarray, pd.DataFrame]:
    table = pd.read_csv(raw / "train.csv", dtype=str, keep_default_na=False)
    paths = {path.name: path for path in sorted((raw / "train_images").iterdir())}
    annotations = read_annotations(table, paths, settings.class_names, settings.raw_size)
    processed = process_sheets(
        paths,
        annotations,
        raw_size=settings.raw_size,
        tensor_size=settings.tensor_size,
        channels=settings.channels,
        class_count=len(settings.class_names),
        parameters=settings.processing,
        folder=work,
    )
    sheets, masks = (np.load(path, allow_pickle=False) for path in (processed.sheets, processed.masks))
    return sheets, masks, index_sheets(sheets, processed.index, processed.quarantine, None, settings.processing)
