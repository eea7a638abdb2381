"""Training of the cascade's U-Nets: one a class, on the sheets with it and as many others."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from steel_xai.fingerprint import fingerprint
from steel_xai.loop import CHECKPOINT
from steel_xai.parameters import LoopParameters
from steel_xai.parameters.segmentation import SegmentationNetworkParameters
from steel_xai.segmentation.segmenter import Segmenter
from steel_xai.segmentation.training import train_segmenter


def train_unets(
    sheets: np.ndarray,
    masks: np.ndarray,
    split: pd.DataFrame,
    *,
    class_names: Sequence[str],
    network: SegmentationNetworkParameters,
    parameters: LoopParameters,
    dice_smoothing: float,
    negatives_per_positive: float,
    seed: int,
    folder: Path,
    data_source: str,
    devices: int = 1,
) -> tuple[dict[int, Segmenter], pd.DataFrame]:
    """Train a network for each class on the sheets that `draw_sheets` gives it.

    A run that was killed or interrupted goes on with the class that it had come to; finished ones are not repeated.

    Args:
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        masks: uint8 bit field [N, h, w]; bit k-1 = class k.
        split: ``row, image_id, label, split, copy, flip_h, flip_v``; labels are bit fields as the masks are.
        class_names: The K classes.
        network: What is trained.
        parameters: Of the training.
        dice_smoothing: Of the smooth Dice loss.
        negatives_per_positive: Sheets without the class for each with it.
        seed: Fixes the result.
        folder: Holds checkpoint and log of each training in a folder of its own.
        data_source: Name of the data.
        devices: That share every batch.

    Returns:
        The networks by the number of their class, whose descriptions name the whole split as the one that they were
        drawn from; and the histories, as `train_segmenter` returns them, with a first column ``class``.

    Raises:
        InputError: As `train_segmenter` does.
        KeyboardInterrupt: It is interrupted, as the cascade needs the networks of all classes.
    """
    networks, histories = {}, []
    drawn_from = fingerprint(split)
    for number, name in enumerate(class_names, start=1):
        unet, history = train_segmenter(
            sheets,
            masks,
            draw_sheets(split, number, negatives_per_positive, seed),
            classes={number: name},
            network=network,
            parameters=parameters,
            dice_smoothing=dice_smoothing,
            seed=seed,
            folder=folder / f"class_{number}",
            data_source=data_source,
            devices=devices,
            keep_checkpoint=True,
        )
        if unet.description.interrupted:
            raise KeyboardInterrupt
        # So that any network drawn from the split fits, whatever share of it was drawn.
        description = unet.description.model_copy(update={"split_fingerprint": drawn_from})
        networks[number] = replace(unet, description=description)
        histories.append(history.assign(**{"class": number}))
    for number in networks:
        (folder / f"class_{number}" / CHECKPOINT).unlink(missing_ok=True)
    table = pd.concat(histories, ignore_index=True)
    return networks, table[["class", *table.columns.drop("class")]]


def draw_sheets(split: pd.DataFrame, number: int, negatives_per_positive: float, seed: int) -> pd.DataFrame:
    """Take the training and validation sheets with a class, and draw others in proportion.

    Args:
        split: As `train_unets` takes it; flipped copies are left out.
        number: k, bit k-1 of the labels.
        negatives_per_positive: Others for each sheet with the class, in either part; at least one, at most all.
        seed: Of the draw, which differs from class to class.

    Returns:
        Rows of the split in its order.
    """
    rng = np.random.default_rng([seed, number])
    own = split[split["copy"] == 0]
    chosen = []
    for part in ("train", "validation"):
        of_part = own[own["split"] == part]
        has_class = (of_part["label"].to_numpy() >> (number - 1) & 1).astype(bool)
        others = np.flatnonzero(~has_class)
        n = min(len(others), max(1, round(negatives_per_positive * has_class.sum())))
        kept = np.union1d(np.flatnonzero(has_class), rng.choice(others, n, replace=False))
        chosen.append(of_part.iloc[kept])
    return pd.concat(chosen).sort_index().reset_index(drop=True)
