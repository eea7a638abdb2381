"""The remedy for the stain shortcut, and what it is worth: a classifier that saw stains on both kinds of sheets."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.classifier import Classifier
from steel_xai.inference import predict
from steel_xai.metrics import labels_and_probabilities, score
from steel_xai.parameters import StainAuditParameters, StainDetectionParameters, TrainingParameters
from steel_xai.stain_audit.study import Device, Interventions, audit_stains, intervene_on_stains
from steel_xai.training import train_classifier

BEFORE, AFTER = "before", "after"


def train_remedied(
    classifier: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    split: pd.DataFrame,
    *,
    stain_augmentation: float,
    white_stains: StainDetectionParameters,
    folder: Path,
) -> Classifier:
    """Train a classifier that differs from the given one in the stains that are pasted on its training sheets alone.

    Args:
        classifier: Its start, seed and all other parameters are kept, ``auto`` values as they were resolved for it.
        sheets: What trained it, uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        split: What trained it.
        stain_augmentation: Probability of a stain.
        white_stains: How the stains to paste are found.
        folder: Of the training's checkpoint and log.

    Raises:
        InputError: As ``training.train_classifier`` does.
    """
    about = classifier.description
    changes = {
        "stain_augmentation": stain_augmentation,
        "pretrained": "never" if about.weights == "random" else "require",
    }
    remedied, _ = train_classifier(
        sheets,
        split,
        outputs=about.outputs,
        parameters=TrainingParameters.model_validate(about.parameters | changes),
        seed=about.seed,
        folder=folder,
        data_source=about.data_source,
        masks=masks,
        white_stains=white_stains,
    )
    return remedied


def compare_remedy(
    classifier: Classifier,
    remedied: Classifier,
    sheets: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    sheet_index: pd.DataFrame,
    split: pd.DataFrame,
    parameters: StainAuditParameters,
    white_stains: StainDetectionParameters,
    *,
    batch_size: int,
    device: Device,
    data_source: str,
) -> pd.DataFrame:
    """Score and audit a classifier before and after the remedy: see ``remedy_table``."""
    scores, records, interventions = {}, {}, {}
    for state, model in ((BEFORE, classifier), (AFTER, remedied)):
        predictions = predict(model, sheets, split, batch_size=batch_size, device=device)
        labels, probabilities = labels_and_probabilities(predictions, "test")
        scores[state] = {**score(labels, probabilities), "n_test": len(labels)}
        interventions[state] = intervene_on_stains(
            model, sheets, masks, sheet_index, split, parameters, white_stains, device=device
        )
        records[state], _ = audit_stains(
            model,
            predictions,
            sheets,
            sheet_index,
            interventions[state].record,
            parameters,
            white_stains,
            device=device,
            data_source=data_source,
        )
    augmentation = {
        state: model.description.parameters["stain_augmentation"]
        for state, model in ((BEFORE, classifier), (AFTER, remedied))
    }
    return remedy_table(scores, records, interventions, augmentation)


def remedy_table(
    scores: Mapping[str, Mapping[str, Any]],
    records: Mapping[str, Mapping[str, Any]],
    interventions: Mapping[str, Interventions],
    augmentation: Mapping[str, float],
) -> pd.DataFrame:
    """Put scores and audit of the classifier ``before`` and ``after`` the remedy in one table.

    Args:
        scores: Of the test sheets, by state: ``accuracy, balanced_accuracy, f1, auc``.
        records: Of the audit, by state.
        interventions: By state.
        augmentation: ``training.stain_augmentation`` of the classifier, by state.

    Returns:
        One row a state: ``state, stain_augmentation``, the scores, ``n_test``; ``recall_plain`` and ``recall_stained``:
        the share of ``n_defective`` defective test sheets that are taken for defective as they are, and with a stain
        pasted on; ``paste_shift`` (median, of P(no defect)) with ``paste_low, paste_high``, ``plain_patch_shift,
        removal_shift, flip_rate, effect_size, p_value, verdict``.
    """
    rows = []
    for state, record in records.items():
        shifts = interventions[state].shifts
        defective = shifts[shifts["group"] == "defective"]
        rows.append(
            {
                "state": state,
                "stain_augmentation": augmentation[state],
                **scores[state],
                "n_defective": len(defective),
                "recall_plain": (defective["predicted_before"] > 0).mean() if len(defective) else np.nan,
                "recall_stained": (defective["predicted_treated"] > 0).mean() if len(defective) else np.nan,
                "paste_shift": record["paste"]["median_shift"],
                "paste_low": record["paste"]["shift_low"],
                "paste_high": record["paste"]["shift_high"],
                "plain_patch_shift": record["plain_patch"]["median_shift"],
                "removal_shift": record["removal"]["median_shift"],
                "flip_rate": record["paste"]["flip_rate"],
                "effect_size": record["effect_size"],
                "p_value": record["p_value"],
                "verdict": record["verdict"],
            }
        )
    return pd.DataFrame(rows)
