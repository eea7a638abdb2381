"""Whether a classifier's stored explanations can be trusted: are they stable, are they faithful to the network?"""

import functools
import logging
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import nn

from steel_xai import localisation
from steel_xai.attribution import BATCH_PARAMETER, METHODS, attribute, prepare
from steel_xai.attribution.completeness import COMPLETE_METHODS, completeness_errors
from steel_xai.attribution.convention import evidence
from steel_xai.attribution.engine import Explain
from steel_xai.attribution.faithfulness import (
    cascading_randomisation,
    curve_areas,
    insertion_deletion,
    summarise_areas,
)
from steel_xai.attribution.randomisation import cascade
from steel_xai.attribution.stability import stability
from steel_xai.classifier import Classifier
from steel_xai.device import place, select_device
from steel_xai.interpretation.explain import draw_background, load_images, options_on, seeds_of
from steel_xai.interpretation.maps import common_sheets, maps_of
from steel_xai.memory import BatchSize
from steel_xai.parameters import InterpretationParameters

Device = Literal["auto", "cpu", "cuda"]

logger = logging.getLogger(__name__)


class Faithfulness(NamedTuple):
    """What the maps have to do with the network.

    Attributes:
        areas: See ``faithfulness.summarise_areas``.
        curves: See ``faithfulness.insertion_deletion``; ``image`` is the sheet's row.
        randomisation: See ``faithfulness.cascading_randomisation``.
        completeness: Rows ``method, error`` (the largest, as a share of the logits), ``mean_error, n``, see
            ``completeness.completeness_errors``; of the methods asked for alone.
    """

    areas: pd.DataFrame
    curves: pd.DataFrame
    randomisation: pd.DataFrame
    completeness: pd.DataFrame


def check_stability(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    maps: np.ndarray,
    index: pd.DataFrame,
    thresholds: pd.DataFrame,
    parameters: InterpretationParameters,
    *,
    device: Device,
) -> pd.DataFrame:
    """Explain a few test sheets again, with other seeds and under noise; see ``stability.stability``.

    Args:
        classifier: Whose explanations these are.
        sheets: uint8 [N, C, h, w].
        split: From whose training sheets DeepShap's baselines are drawn.
        maps: float16 [M, h, w], as ``explain_sheets`` stages them.
        index: Of the maps.
        thresholds: ``method, k``, by which maps become masks.
        parameters: Of the interpretation.
        device: Where the network runs.
    """
    target_device, seed = select_device(device), classifier.description.seed
    network = place(classifier.network, target_device)
    options = options_on(target_device, parameters.options)
    batch = BatchSize(options.batch_size, BATCH_PARAMETER)
    shown = common_sheets(index, parameters.methods, "test", parameters.checks.stability_sheets)
    rows = shown["row"].to_numpy()
    background = draw_background(sheets, split, seed=seed, device=target_device)
    images = load_images(sheets, rows, target_device)
    k_of = thresholds.set_index("method")["k"]

    @functools.cache
    def prepared(methods: tuple[str, ...]) -> Explain:
        return prepare(network, images[:1], methods=methods, options=options, baselines=background, batch=batch)

    def explain(
        some: torch.Tensor, targets: torch.Tensor, seeds: Sequence[int], methods: Sequence[str]
    ) -> dict[str, np.ndarray]:
        return prepared(tuple(methods))(some, targets, seeds)

    def to_masks(method: str, signed: np.ndarray) -> np.ndarray:
        blurred = localisation.smooth(evidence(signed, method), parameters.blur)
        return localisation.threshold_mask(blurred, float(k_of[method]))

    return stability(
        explain,
        images,
        _targets(shown, target_device),
        maps_of(maps, index, parameters.methods, rows),
        seeded=[method for method in parameters.methods if METHODS[method].is_seeded],
        to_masks=to_masks,
        noise=parameters.checks.noise,
        seeds=seeds_of(rows, seed),
        n_samples=parameters.bootstrap_samples,
        seed=seed,
    )


def check_faithfulness(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    maps: np.ndarray,
    index: pd.DataFrame,
    parameters: InterpretationParameters,
    *,
    device: Device,
) -> Faithfulness:
    """Delete and insert what the maps of a few test sheets point at; randomise the network under the gradient methods.

    What a map points at is its evidence, as in masks and scores: the sign of a gradient at the image says whether a
    brighter pixel raises the logit, not whether the pixel as it is does.

    Methods that use no gradients are left out of the randomisation: they explain what the network answers, and would
    take minutes.

    Args:
        classifier: As for ``check_stability``, and so are the other arguments.
        sheets: uint8 [N, C, h, w].
        split: From whose training sheets DeepShap's baselines are drawn.
        maps: float16 [M, h, w].
        index: Of the maps.
        parameters: Of the interpretation.
        device: Where the network runs.
    """
    target_device, seed = select_device(device), classifier.description.seed
    network = place(classifier.network, target_device)
    options = options_on(target_device, parameters.options)
    checks = parameters.checks
    shown = common_sheets(index, parameters.methods, "test", checks.faithfulness_sheets)
    rows, targets = shown["row"].to_numpy(), _targets(shown, target_device)
    images = load_images(sheets, rows, target_device)
    stored = maps_of(maps, index, parameters.methods, rows)
    curves = insertion_deletion(
        network,
        images,
        targets,
        {method: evidence(signed, method) for method, signed in stored.items()},
        steps=checks.faithfulness_steps,
        fill=checks.fill,
        seed=seed,
        batch_size=options.batch_size,
    )
    few = slice(0, checks.randomised_sheets)
    quick = [method for method in parameters.methods if METHODS[method].uses_gradients]
    background = draw_background(sheets, split, seed=seed, device=target_device)

    def explain(partly_random: nn.Module, some: torch.Tensor, explained: torch.Tensor) -> dict[str, np.ndarray]:
        return attribute(
            partly_random,
            some,
            explained,
            methods=quick,
            options=options,
            baselines=background,
            seeds=seeds_of(rows[few], seed),
        )

    randomisation = cascading_randomisation(
        explain,
        cascade(network, seed),
        images[few],
        targets[few],
        {method: stored[method][few] for method in quick},
        to_evidence=evidence,
        n_samples=parameters.bootstrap_samples,
        seed=seed,
    )
    areas = summarise_areas(curve_areas(curves), n_samples=parameters.bootstrap_samples, seed=seed)
    errors = completeness_errors(
        network,
        images[few],
        targets[few],
        options=options,
        baselines=background,
        seeds=seeds_of(rows[few], seed),
        methods=[method for method in COMPLETE_METHODS if method in parameters.methods],
    )
    completeness = pd.DataFrame(
        [(method, values.max(), values.mean(), len(values)) for method, values in errors.items()],
        columns=["method", "error", "mean_error", "n"],
    )
    if errors:
        logger.info(
            "Completeness, largest error of %d sheets as a share of the logits: %s",
            len(images[few]),
            ", ".join(f"{method} {error:.1e}" for method, error in completeness[["method", "error"]].to_numpy()),
        )
    return Faithfulness(areas, curves.assign(image=rows[curves["image"]]), randomisation, completeness)


def _targets(shown: pd.DataFrame, device: torch.device) -> torch.Tensor:
    return torch.from_numpy(shown["target"].to_numpy(np.int64, copy=True)).to(device)
