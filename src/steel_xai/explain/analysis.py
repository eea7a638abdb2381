"""What the model says of a few sheets, and why: all that a card tells, computed for a batch at a time."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
import torch
from torch import nn

from steel_xai.attribution import BATCH_PARAMETER, Options, attribute
from steel_xai.attribution.convention import evidence
from steel_xai.batches import normalise
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, place, select_device
from steel_xai.evaluation.calibration import apply_temperature
from steel_xai.explain.counterfactuals import (
    Counterfactual,
    rests_on_it,
    share_within,
    without_black_end,
    without_stains,
)
from steel_xai.explain.neighbours import Reference, last_feature_layer, logits_and_features, training_reference
from steel_xai.fingerprint import fingerprint
from steel_xai.interpretation.explain import draw_background, options_on
from steel_xai.localisation import smooth, threshold_mask
from steel_xai.memory import BatchSize, in_batches
from steel_xai.parameters import InterpretationParameters, StainDetectionParameters
from steel_xai.parameters.explain import ExplainParameters


@dataclass(frozen=True)
class Explainer:
    """The model and all that its explanations of a run have in common.

    Attributes:
        classifier: The model.
        network: Of the model, on the device.
        device: Where it runs.
        device_choice: What was asked for, from which a worker of a cluster chooses its own device.
        feature_layer: Whose outputs are compared.
        reference: Training sheets.
        temperature: Calibrates the probabilities.
        threshold: Confidence from which on the model answers; None where it always does.
        parameters: Of the explanations.
        options: Of the attribution methods.
        batch: How many sheets at a time.
        background: Training sheets for DeepShap; None for the other methods.
        blur: Standard deviation in tensor pixels.
        edge_reach: Tensor pixels that count as near the black edge.
        white_stains: Of the detector.
    """

    classifier: Classifier
    network: nn.Module
    device: torch.device
    device_choice: Literal["auto", "cpu", "cuda"]
    feature_layer: str
    reference: Reference
    temperature: float
    threshold: float | None
    parameters: ExplainParameters
    options: Options
    batch: BatchSize
    background: torch.Tensor | None
    blur: float
    edge_reach: float
    white_stains: StainDetectionParameters

    def on(self, device: torch.device) -> "Explainer":
        """Move to a device."""
        background = None if self.background is None else self.background.to(device)
        return replace(self, network=place(self.network, device), device=device, background=background)

    @property
    def key(self) -> str:
        """Hash what the explanation of a sheet depends on, but for the sheet."""
        return fingerprint(
            self.classifier.description.model_dump(mode="json"),
            self.reference.key,
            self.parameters.model_dump(mode="json", exclude={"images", "max_cards"}),
            vars(self.options),
            self.white_stains.model_dump(mode="json"),
            [self.temperature, self.threshold, self.blur, self.edge_reach],
        )


@dataclass(frozen=True)
class WithoutIt:
    """What the model says of a sheet without its stains, or without its black end.

    Attributes:
        where: The stains, or what is near the edge, [h, w].
        relevance: Share of the relevance that lies there, 0..1.
        predicted: Class of the sheet without it.
        probability: Calibrated, of the class that is predicted with it.
        predicted_probability: Calibrated, of the class that is predicted without it.
        control_probability: Calibrated, of the class that is predicted with it, after the control; None without one.
        decides: Whether the decision rests on it.
    """

    where: np.ndarray
    relevance: float
    predicted: int
    probability: float
    predicted_probability: float
    control_probability: float | None
    decides: bool


@dataclass(frozen=True)
class Explanation:
    """What is known of one sheet.

    Attributes:
        predicted: Class, 0..K-1.
        probabilities: Calibrated, [K].
        confidence: Highest probability before calibration, which the threshold is compared with.
        answered: Whether it reaches the threshold.
        evidence: Relevance for the predicted class [h, w], never negative.
        mask: Where the predicted defect is [h, w]; empty where none is predicted.
        nearest: Positions among the reference sheets, near first.
        distances: Of the nearest.
        stain: Without the white stains; None where there are none.
        black_end: Without the black end; None where there is none.
    """

    predicted: int
    probabilities: np.ndarray
    confidence: float
    answered: bool
    evidence: np.ndarray
    mask: np.ndarray
    nearest: np.ndarray
    distances: np.ndarray
    stain: WithoutIt | None
    black_end: WithoutIt | None


def make_explainer(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    calibration: Mapping[str, Any],
    abstention: Mapping[str, Any],
    parameters: ExplainParameters,
    interpretation: InterpretationParameters,
    white_stains: StainDetectionParameters,
    raw_width: int,
    device: Literal["auto", "cpu", "cuda"],
    folder: Path,
) -> Explainer:
    """Gather what all sheets need.

    Args:
        classifier: The model.
        sheets: uint8 [N, C, h, w], among them those that trained the model.
        split: Of the sheets.
        calibration: As ``evaluation.calibration.calibrate`` records it.
        abstention: As ``evaluation.abstention.measure_abstention`` records it.
        parameters: Of the explanations.
        interpretation: Options of the methods, blur, and reach of the black edge.
        white_stains: Of the detector.
        raw_width: Of a raw sheet in pixels.
        device: Where the network runs.
        folder: Keeps the features of the training sheets.
    """
    where = select_device(device)
    network = place(classifier.network, where).eval()
    seed = classifier.description.seed
    threshold = abstention["threshold"] if parameters.threshold == "auto" else parameters.threshold
    options = options_on(where, interpretation.options)
    batch = BatchSize(options.batch_size, BATCH_PARAMETER)
    return Explainer(
        classifier=classifier,
        network=network,
        device=where,
        device_choice=device,
        feature_layer=last_feature_layer(network),
        reference=training_reference(classifier, network, sheets, split, device=where, batch=batch, folder=folder),
        temperature=calibration["temperature"],
        threshold=threshold,
        parameters=parameters,
        options=options,
        batch=batch,
        background=(
            draw_background(sheets, split, seed=seed, device=where) if parameters.method == "deepshap" else None
        ),
        blur=interpretation.blur,
        edge_reach=interpretation.errors.edge_reach * sheets.shape[3] / raw_width,
        white_stains=white_stains,
    )


def explain_batch(explainer: Explainer, sheets: np.ndarray, seeds: Sequence[int]) -> list[Explanation]:
    """Explain sheets uint8 [n, C, h, w]; each by a seed of its own, so that it does not depend on the others."""
    images = normalise(torch.from_numpy(sheets).to(explainer.device))

    def judge(part: slice) -> tuple[torch.Tensor, np.ndarray]:
        return logits_and_features(explainer.network, explainer.feature_layer, images[part])

    judged = [found for _, found in in_batches(judge, len(images), explainer.batch)]
    logits, features = torch.cat([one for one, _ in judged]), np.concatenate([other for _, other in judged])
    # in single precision, as the predictions that the threshold was chosen on
    probabilities = torch.softmax(logits, dim=1).cpu().numpy()
    calibrated = apply_temperature(probabilities, explainer.temperature)
    predicted, confidence = probabilities.argmax(axis=1), probabilities.max(axis=1)
    threshold = 0.0 if explainer.threshold is None else explainer.threshold
    maps = _maps(explainer, images, predicted, seeds)
    masks = threshold_mask(smooth(maps, explainer.blur), explainer.parameters.k) & (predicted > 0)[:, None, None]
    nearest, distances = explainer.reference.nearest(features)
    stains = [without_stains(sheet, explainer.white_stains, seed) for sheet, seed in zip(sheets, seeds, strict=True)]
    ends = [without_black_end(sheet, explainer.edge_reach) for sheet in sheets]
    said = iter(_predict_again(explainer, [*stains, *ends]))
    without = [
        _compare(explainer, counterfactual, calibrated[i], maps[i], next(said)) if counterfactual else None
        for found in (stains, ends)
        for i, counterfactual in enumerate(found)
    ]
    return [
        Explanation(
            predicted=int(predicted[i]),
            probabilities=calibrated[i],
            confidence=float(confidence[i]),
            answered=bool(confidence[i] >= np.float32(threshold)),
            evidence=maps[i],
            mask=masks[i],
            nearest=nearest[i],
            distances=distances[i],
            stain=without[i],
            black_end=without[len(sheets) + i],
        )
        for i in range(len(sheets))
    ]


def _maps(explainer: Explainer, images: torch.Tensor, predicted: np.ndarray, seeds: Sequence[int]) -> np.ndarray:
    """Compute the evidence for the predicted classes, float32 [n, h, w]."""
    method = explainer.parameters.method
    found = attribute(
        explainer.network,
        images,
        torch.from_numpy(predicted.astype(np.int64)).to(explainer.device),
        methods=[method],
        options=explainer.options,
        baselines=explainer.background,
        seeds=seeds,
        batch=explainer.batch,
    )
    return evidence(found[method], method)


def _predict_again(explainer: Explainer, found: Sequence[Counterfactual | None]) -> list[np.ndarray]:
    """Predict treated sheets and controls together: calibrated probabilities [1 or 2, K] of each counterfactual."""
    pictures = [
        picture
        for counterfactual in found
        if counterfactual
        for picture in (counterfactual.treated, counterfactual.control)
        if picture is not None
    ]
    if not pictures:
        return []

    def judge(part: slice) -> np.ndarray:
        images = normalise(torch.from_numpy(np.stack(pictures[part])).to(explainer.device))
        with torch.inference_mode(), autocast(explainer.device):
            logits = explainer.network(images).float()
        found: np.ndarray = torch.softmax(logits, dim=1).cpu().numpy()
        return found

    probabilities = [found for _, found in in_batches(judge, len(pictures), explainer.batch)]
    said = apply_temperature(np.concatenate(probabilities), explainer.temperature)
    ends = np.cumsum([1 + (each.control is not None) for each in found if each])
    return np.split(said, ends[:-1])


def _compare(
    explainer: Explainer, counterfactual: Counterfactual, before: np.ndarray, evidence: np.ndarray, said: np.ndarray
) -> WithoutIt:
    """Weigh what the model says with and without; where there is no control, relevance has to lie there as well."""
    predicted, without = int(before.argmax()), int(said[0].argmax())
    fall = float(before[predicted] - said[0, predicted])
    control = float(said[1, predicted]) if len(said) > 1 else None
    relevance = share_within(evidence, counterfactual.where)
    decides = rests_on_it(
        fall,
        min_shift=explainer.parameters.min_shift,
        control_fall=None if control is None else float(before[predicted]) - control,
    )
    if control is None:
        decides = decides and relevance > counterfactual.where.mean()
    return WithoutIt(
        where=counterfactual.where,
        relevance=relevance,
        predicted=without,
        probability=float(said[0, predicted]),
        predicted_probability=float(said[0, without]),
        control_probability=control,
        decides=decides,
    )
