"""What a segmentation network finds on held-out sheets, with and without a filter of small components."""

import logging
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from steel_xai.parameters.segmentation import SegmentationParameters
from steel_xai.segmentation.losses import pixel_labels
from steel_xai.segmentation.masks import drop_small
from steel_xai.segmentation.scores import by_class, count_pixels
from steel_xai.segmentation.segmenter import (
    Device,
    Segmenter,
    check_lineage,
    milliseconds_per_sheet,
    predict_labels,
)
from steel_xai.segmentation.summary import compare_losses, in_words, summarise

HELD_OUT = ("validation", "test")

logger = logging.getLogger(__name__)


class Counted(NamedTuple):
    """What a network finds.

    Attributes:
        counts: ``split, filtered`` (0 or 1), ``image_id``, then the columns of `scores.count_pixels`: one row a sheet
            of the validation and test splits, filter and output.
        minimum_areas: Of each class in tensor pixels, chosen on the validation sheets; 0 is no filter.
    """

    counts: pd.DataFrame
    minimum_areas: list[int]


def measure_networks(
    networks: Mapping[str, Segmenter],
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    *,
    class_names: list[str],
    data_source: str,
    parameters: SegmentationParameters,
    seed: int,
) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Score networks on the validation and test sheets of the split that trained them.

    Args:
        networks: By name, ``fcn32_cross_entropy`` and ``fcn32_soft_dice`` among them.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        split: ``row, image_id, split, ...``.
        class_names: The K classes.
        data_source: Name of the data.
        parameters: Of the stage.
        seed: Of the resamples.

    Returns:
        The counts of all networks, see `Counted`, with a first column ``network``; and the metrics: numbers of sheets,
        ``pixels_of_several_classes`` of all masks, ``networks`` with what each is, its ``minimum_areas`` and the scores
        of `summary.summarise`, and ``cross_entropy_against_soft_dice`` of `summary.compare_losses`.

    Raises:
        InputError: Other data trained a network.
    """
    tables, about = {}, {}
    device = parameters.training.device
    for name, segmenter in networks.items():
        description = segmenter.description
        check_lineage(description, sheets, masks, split, data_source)
        counted = count_held_out(
            segmenter,
            sheets,
            masks,
            split,
            minimum_areas=parameters.minimum_areas,
            batch_size=parameters.batch_size,
            device=device,
        )
        tables[name] = counted.counts
        about[name] = {
            **description.model_dump(include={"architecture", "encoder", "loss", "weights", "best_epoch"}),
            **description.model_dump(include={"epochs_run", "seconds_training", "n_train", "interrupted"}),
            "parameters": sum(weight.numel() for weight in segmenter.network.parameters()),
            "ms_per_sheet": milliseconds_per_sheet(segmenter, sheets, repeats=parameters.timing_repeats, device=device),
            "minimum_areas": dict(zip(class_names, counted.minimum_areas, strict=True)),
            **summarise(counted.counts, class_names, n_samples=parameters.bootstrap_samples, seed=seed),
        }
        dice = about[name]["without_filter"]["dice"]["sheets_with_class"]["by_class"]
        logger.info(
            "%s (%s weights), test sheets of '%s', exact Dice without filter over the sheets with the class: %s",
            name,
            description.weights,
            data_source,
            ", ".join(f"{of_class} {in_words(mean)}" for of_class, mean in dice.items()),
        )
    sizes = split["split"].value_counts()
    losses = compare_losses(
        tables["fcn32_cross_entropy"], tables["fcn32_soft_dice"], n_samples=parameters.bootstrap_samples, seed=seed
    )
    logger.info("%s", losses["sentence"])
    metrics = {
        "data_source": data_source,
        **{f"n_{name}": int(sizes[name]) for name in ("train", *HELD_OUT)},
        "pixels_of_several_classes": _count_several(masks),
        "networks": about,
        "cross_entropy_against_soft_dice": losses,
    }
    return pd.concat([table.assign(network=name) for name, table in tables.items()], ignore_index=True)[
        ["network", *next(iter(tables.values())).columns]
    ], metrics


def count_held_out(
    segmenter: Segmenter,
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    *,
    minimum_areas: list[int],
    batch_size: int,
    device: Device,
) -> Counted:
    """Predict the validation and test sheets and count the pixels of every class, before and after the filter.

    Args:
        segmenter: The network.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        split: ``row, image_id, split``.
        minimum_areas: Of components, to choose from; 0, no filter, is always one.
        batch_size: Sheets predicted at once.
        device: Where the network runs.
    """
    n_outputs = len(segmenter.description.outputs)
    tables = []
    chosen: list[int] = []
    for name in HELD_OUT:
        part = split[split["split"] == name].set_index("row")
        rows = part.index.to_numpy()
        labels = predict_labels(segmenter, sheets, rows, batch_size=batch_size, device=device)
        truth = pixel_labels(masks[rows], segmenter.description.classes)
        chosen = chosen or choose_minimum_areas(labels, truth, n_outputs - 1, minimum_areas)
        for filtered, kept in enumerate((labels, drop_small(labels, chosen))):
            counts = count_pixels(kept, truth, rows, n_outputs)
            ids = part["image_id"].loc[counts["row"]].to_numpy()
            tables.append(counts.assign(split=name, filtered=filtered, image_id=ids))
    table = pd.concat(tables, ignore_index=True)
    first = ["split", "filtered", "image_id"]
    return Counted(table[[*first, *table.columns.drop(first)]], chosen)


def choose_minimum_areas(labels: np.ndarray, truth: np.ndarray, n_classes: int, minimum_areas: list[int]) -> list[int]:
    """Choose each class's minimum area by its mean Dice over all sheets, the smallest of equal ones.

    Args:
        labels: Predicted, uint8 [n, h, w], of validation sheets.
        truth: uint8 [n, h, w].
        n_classes: K.
        minimum_areas: To choose from, beside 0.
    """
    candidates = sorted({0, *minimum_areas})
    scores = []
    for area in candidates:
        kept = drop_small(labels, [area] * n_classes)
        counts = count_pixels(kept, truth, np.arange(len(labels)), n_classes + 1)
        scores.append(by_class(counts, "dice").mean(axis=0))
    return [candidates[best] for best in np.stack(scores).argmax(axis=0)]


def _count_several(masks: np.ndarray) -> int:
    """Count the pixels of several classes: something is left of them without their lowest bit."""
    return sum(int(np.count_nonzero(mask & (mask - 1))) for mask in masks)
