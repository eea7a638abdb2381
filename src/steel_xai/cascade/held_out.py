"""What the steps say of the sheets that none of them was trained on."""

import logging
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from steel_xai.cascade.steps import Steps, class_probabilities, defect_probability, mask_probabilities
from steel_xai.errors import InputError
from steel_xai.segmentation.masks import drop_small
from steel_xai.segmentation.segmenter import Device

HALF = 0.5
"""The probability above which a pixel is in a mask."""

logger = logging.getLogger(__name__)


class HeldOut(NamedTuple):
    """One part, validation or test, as arrays in the order of ``rows``.

    Attributes:
        rows: int [n].
        gate: Probability of any defect [n].
        labels: Probability of each class [n, K].
        areas: The minimum areas [A] that the masks were filtered by, 0 first.
        true: Pixels of each class [n, K].
        found: Pixels that the class's own network finds [A, n, K].
        both: Pixels that are right [A, n, K].
    """

    rows: np.ndarray
    gate: np.ndarray
    labels: np.ndarray
    areas: np.ndarray
    true: np.ndarray
    found: np.ndarray
    both: np.ndarray

    def dice(self) -> np.ndarray:
        """Compute the exact Dice of the networks' masks [A, n, K]; 1 where both are empty, as Kaggle."""
        total = self.found + self.true
        return np.asarray(np.where(total > 0, 2 * self.both / np.maximum(total, 1), 1.0))

    def empty_dice(self) -> np.ndarray:
        """Compute the Dice of empty masks [n, K]: 1 where the class is not there."""
        return np.where(self.true == 0, 1.0, 0.0)


def choose_held_out(gate_split: pd.DataFrame, split: pd.DataFrame) -> pd.DataFrame:
    """Take the sheets to choose thresholds on and those to score.

    Scored are test sheets of both splits; thresholds are chosen on validation sheets of the labels' split that did not
    train the gate. Where all of those trained the gate, as may be with few sheets, all count, with a warning.

    Args:
        gate_split: The binary task's.
        split: That of labels and masks.

    Returns:
        ``row, image_id, label, split``; the label is the bit field of classes.

    Raises:
        InputError: No test sheet is one of both splits.
    """
    own = split[split["copy"] == 0]
    of_gate = own["row"].map(gate_split[gate_split["copy"] == 0].set_index("row")["split"])
    test = own[(own["split"] == "test") & (of_gate == "test")]
    if test.empty:
        raise InputError(
            "cascade: no test sheet of multilabel.split is one of binary.split, so that each was seen in training; "
            "draw both anew with `kedro run --pipeline=splits`"
        )
    validation = own[own["split"] == "validation"]
    new = validation[of_gate.loc[validation.index] != "train"]
    if new.empty:
        logger.warning(
            "All validation sheets of multilabel.split trained the gate: thresholds of the cascade are chosen on them "
            "all the same, and its gate will look too good there."
        )
        new = validation
    table = pd.concat([new, test], ignore_index=True)
    return table[["row", "image_id", "label", "split"]]


def predict_held_out(
    steps: Steps,
    sheets: np.ndarray,
    masks: np.ndarray,
    held_out: pd.DataFrame,
    *,
    minimum_areas: list[int],
    batch_size: int,
    device: Device,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Let every step judge every sheet, whatever the step before says, so that any set-up can be scored.

    Args:
        steps: The models.
        sheets: uint8 [N, C, h, w].
        masks: uint8 bit field [N, h, w].
        held_out: As `choose_held_out` returns it.
        minimum_areas: Of components in tensor pixels; 0, no filter, is always one.
        batch_size: Sheets predicted at once.
        device: Where the networks run.

    Returns:
        The sheets with ``p_defect`` and ``p_1 .. p_K``; and one row a sheet, class and minimum area: ``row, class,
        minimum_area, true, found, both`` in pixels.
    """
    rows = held_out["row"].to_numpy()
    how: dict[str, Any] = {"batch_size": batch_size, "device": device}
    classes = class_probabilities(steps.labels, sheets, rows, steps.class_names, **how)
    predictions = held_out.assign(
        p_defect=defect_probability(steps.gate, sheets, rows, **how),
        **{f"p_{number}": classes[:, number - 1] for number in range(1, len(steps.class_names) + 1)},
    )
    areas = sorted({0, *minimum_areas})
    tables = []
    for number in range(1, len(steps.class_names) + 1):
        done = 0
        for probabilities in mask_probabilities(steps.unets[number], number, sheets, rows, **how):
            part = rows[done : done + len(probabilities)]
            done += len(part)
            true = (masks[part] >> (number - 1) & 1).astype(bool)
            found = (probabilities > HALF).astype(np.uint8)
            for area in areas:
                kept = drop_small(found, [area]).astype(bool)
                pixels = {"true": true, "found": kept, "both": true & kept}
                counted = {name: mask.sum(axis=(1, 2)) for name, mask in pixels.items()}
                tables.append(pd.DataFrame({"row": part, "class": number, "minimum_area": area, **counted}))
    return predictions, pd.concat(tables, ignore_index=True)


def arrays_of(predictions: pd.DataFrame, counts: pd.DataFrame, part: str) -> HeldOut:
    """Lay out a part, ``validation`` or ``test``, of what `predict_held_out` returns."""
    table = predictions[predictions["split"] == part]
    rows = table["row"].to_numpy()
    areas, classes = np.unique(counts["minimum_area"]), np.unique(counts["class"])
    index = pd.MultiIndex.from_product([areas, rows, classes], names=["minimum_area", "row", "class"])
    laid_out = counts.set_index(index.names).loc[index]
    shape = len(areas), len(rows), len(classes)
    true, found, both = (laid_out[name].to_numpy().reshape(shape) for name in ("true", "found", "both"))
    labels = table[[f"p_{number}" for number in classes]].to_numpy()
    return HeldOut(rows, table["p_defect"].to_numpy(), labels, areas, true[0], found, both)
