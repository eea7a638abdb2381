"""Segmentation networks scored as explanations are: on the same sheets, by the same scores, against the same controls.

What separates them from explanations is that they were shown masks. Their evidence is the probability of the defect; a
pixel is in the mask where it exceeds a half.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from steel_xai import localisation
from steel_xai.attribution.stability import stability
from steel_xai.device import autocast, place, select_device
from steel_xai.errors import InputError
from steel_xai.evaluation.attribution_gains import beats_every_control, gains_over_controls
from steel_xai.evaluation.attribution_scores import choose_threshold, mask_scores, score_table, sheet_scores
from steel_xai.evaluation.attribution_table import CONTROLS, control_maps
from steel_xai.evaluation.published import study_threshold
from steel_xai.interpretation.explain import choose_sheets, load_images, seeds_of
from steel_xai.interpretation.maps import masked_rows
from steel_xai.memory import BatchSize, in_batches
from steel_xai.parameters import InterpretationParameters
from steel_xai.segmentation.segmenter import Device, Segmenter, milliseconds_per_sheet
from steel_xai.sheets.splits import LabelKind, SetKind

HALF = 0.5

PerSheet = dict[str, pd.DataFrame]


def score_like_explanations(
    segmenters: Mapping[str, Segmenter],
    sheets: np.ndarray,
    masks: np.ndarray,
    task_split: pd.DataFrame,
    segmentation_split: pd.DataFrame,
    *,
    labels: LabelKind | SetKind,
    parameters: InterpretationParameters,
    seed: int,
    timing_repeats: int,
    device: Device,
) -> pd.DataFrame:
    """Score networks that were trained on masks on the sheets whose explanations a task's interpretation scores.

    Args:
        segmenters: The networks by name.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        task_split: The task's split, from which its interpretation draws its sheets.
        segmentation_split: The split that trained the networks.
        labels: What the task tells apart. Of ``any_defect`` evidence is the probability of any class, of
            ``single_class`` that of the sheet's own.
        parameters: Of the task's interpretation.
        seed: Of the task's model, by which its interpretation draws the sheets.
        timing_repeats: Timed predictions.
        device: Where the networks run.

    Returns:
        One row a network with the columns of ``{task}.attribution_scores``; ``kind`` is ``supervised``, ``k`` is
        undefined and ``k_chosen_on`` says ``half``. ``validation_dice`` is of the task's explained validation sheets
        that did not train the networks.

    Raises:
        InputError: A sheet to be scored trained the networks; or as `interpretation.explain.choose_sheets` does.
    """
    chosen = explained_sheets(task_split, masks, parameters, seed)
    new = chosen[~chosen["row"].isin(segmentation_split.loc[segmentation_split["split"] == "train", "row"])]
    validation, test = (new[new["split"] == name] for name in ("validation", "test"))
    if len(test) < (chosen["split"] == "test").sum():
        raise InputError(
            "segmentation: the networks were trained on sheets that the task tests, so that their scores there would "
            "mean nothing; make all splits and networks anew with `kedro run --pipeline=segmentation`"
        )
    options: dict[str, Any] = {"n_samples": parameters.bootstrap_samples, "seed": seed}
    place_of = select_device(device)
    per_sheet = _score_controls(sheets, masks, chosen, labels, parameters, seed)
    about: dict[str, dict[str, Any]] = {name: {"kind": "control"} for name in per_sheet}
    evidence: dict[str, np.ndarray] = {}
    test_images, test_targets = _load(sheets, test, place_of)
    for name, segmenter in tqdm(segmenters.items(), desc="networks on explained sheets", unit="network"):
        network = place(segmenter.network, place_of).eval()
        batch_size = parameters.options.batch_size
        evidence[name] = probabilities(network, test_images, test_targets, labels, batch_size)
        per_sheet[name] = mask_scores(evidence[name] > HALF, evidence[name], masks[test["row"]] != 0, test["row"])
        on_validation = probabilities(network, *_load(sheets, validation, place_of), labels, batch_size) > HALF
        about[name] = {
            "kind": "supervised",
            "k": np.nan,
            "k_chosen_on": "half",
            "validation_dice": _mean(localisation.dice(on_validation, masks[validation["row"]])),
            "n_validation": len(validation),
        }
    stable = _check_stability(segmenters, evidence, test_images, test_targets, test, labels, parameters, seed)
    milliseconds = {
        name: milliseconds_per_sheet(segmenter, sheets, repeats=timing_repeats, device=device)
        for name, segmenter in segmenters.items()
    }
    described = pd.DataFrame.from_dict(about, orient="index").join(stable.set_index("method"))
    described["ms_per_image"] = pd.Series(milliseconds)
    gains = gains_over_controls(per_sheet, CONTROLS, **options)
    described["beats_every_control"] = beats_every_control(gains)
    table = score_table(per_sheet, described, **options)
    return table[table["kind"] == "supervised"].reset_index(drop=True)


def explained_sheets(
    task_split: pd.DataFrame, masks: np.ndarray, parameters: InterpretationParameters, seed: int
) -> pd.DataFrame:
    """Draw the sheets that the interpretation of a task's model explains: they hang on nothing that it predicts."""
    own = task_split[task_split["copy"] == 0]
    return choose_sheets(own.assign(predicted=own["label"]), masked_rows(masks), parameters, seed)


def probabilities(
    network: torch.nn.Module, images: torch.Tensor, targets: np.ndarray, labels: LabelKind | SetKind, batch_size: int
) -> np.ndarray:
    """Compute each pixel's probability of the defect, float32 [n, h, w].

    Args:
        network: In evaluation mode, on the device of the images.
        images: Normalised [n, 3, h, w].
        targets: The class of each sheet, int [n].
        labels: ``any_defect`` adds up all classes, ``single_class`` takes the sheet's own.
        batch_size: Sheets predicted at once.
    """

    def of_images(part: slice) -> np.ndarray:
        with torch.inference_mode(), autocast(images.device):
            found: np.ndarray = torch.softmax(network(images[part]).float(), dim=1).cpu().numpy()
        return 1 - found[:, 0] if labels == "any_defect" else found[np.arange(len(found)), targets[part]]

    maps = np.empty((len(images), *images.shape[2:]), np.float32)
    for part, found in in_batches(of_images, len(images), BatchSize(batch_size, "interpretation.options.batch_size")):
        maps[part] = found
    return maps.clip(0, 1)


def _score_controls(
    sheets: np.ndarray,
    masks: np.ndarray,
    chosen: pd.DataFrame,
    labels: LabelKind | SetKind,
    parameters: InterpretationParameters,
    seed: int,
) -> PerSheet:
    """Score the maps that need no model on the test sheets, with the thresholds that the interpretation gives them."""
    evidence, truth, rows = {}, {}, {}
    for split in ("validation", "test"):
        rows[split] = chosen.loc[chosen["split"] == split, "row"].to_numpy()
        evidence[split] = control_maps(rows[split], sheets, seed)
        truth[split] = np.asarray(masks[rows[split]]) != 0
    scores = {}
    for name in tqdm(CONTROLS, desc="controls", unit="control"):
        k = (
            choose_threshold(evidence["validation"][name], truth["validation"], sigma=parameters.blur)
            if parameters.threshold == "validation"
            else study_threshold("binary" if labels == "any_defect" else "multi", name)
        )
        scores[name] = sheet_scores(
            evidence["test"][name], truth["test"], rows["test"].tolist(), k=k, sigma=parameters.blur
        )
    return scores


def _check_stability(
    segmenters: Mapping[str, Segmenter],
    evidence: Mapping[str, np.ndarray],
    images: torch.Tensor,
    targets: np.ndarray,
    test: pd.DataFrame,
    labels: LabelKind | SetKind,
    parameters: InterpretationParameters,
    seed: int,
) -> pd.DataFrame:
    """Predict a few sheets again, under noise; other seeds change nothing."""
    n = parameters.checks.stability_sheets

    def predict(
        changed: torch.Tensor, classes: torch.Tensor, seeds: Sequence[int], names: Sequence[str]
    ) -> dict[str, np.ndarray]:
        return {
            name: probabilities(segmenters[name].network, changed, classes.numpy(), labels, len(changed))
            for name in names
        }

    return stability(
        predict,
        images[:n],
        torch.from_numpy(targets[:n]),
        {name: maps[:n] for name, maps in evidence.items()},
        seeded=[],
        to_masks=lambda name, maps: maps > HALF,
        noise=parameters.checks.noise,
        seeds=seeds_of(test["row"][:n], seed),
        n_samples=parameters.bootstrap_samples,
        seed=seed,
    )


def _load(sheets: np.ndarray, chosen: pd.DataFrame, device: torch.device) -> tuple[torch.Tensor, np.ndarray]:
    return load_images(sheets, chosen["row"].to_numpy(), device), chosen["label"].to_numpy(np.int64, copy=True)


def _mean(values: np.ndarray) -> float:
    return float(values.mean()) if len(values) else float("nan")
