"""Test sheets to show, chosen by rule: what the cascade finds, and what each step spoils or spares."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np
import pandas as pd

from steel_xai.cascade.held_out import HALF, HeldOut, arrays_of
from steel_xai.cascade.metrics import dice_of_setup
from steel_xai.cascade.steps import Steps, mask_probabilities
from steel_xai.cascade.thresholds import SETUPS, WHOLE, Thresholds, read_thresholds
from steel_xai.segmentation.masks import drop_small
from steel_xai.segmentation.scores import sheet_means
from steel_xai.segmentation.segmenter import Device


class Examples(NamedTuple):
    """Rows of test sheets, what each is, and by which rule they were chosen."""

    rows: np.ndarray
    captions: list[str]
    rule: str


def choose_examples(
    predictions: pd.DataFrame, counts: pd.DataFrame, chosen: Mapping[str, Any], class_names: Sequence[str], n: int
) -> Examples:
    """Choose n sheets of each kind, fewer where there are not so many; one of several kinds is shown once.

    By the whole cascade's Dice of a sheet's own classes, over all sheets with a defect: the best, as far as anything is
    found of them, and those nearest to the median, of equal ones with most defect pixels. By most pixels: false masks
    that the gate spares, true ones that it stops, false ones that the label step spares, true ones that it drops.

    Args:
        predictions: As `held_out.predict_held_out` returns them.
        counts: Likewise.
        chosen: As `thresholds.choose_thresholds` returns it.
        class_names: The K classes.
        n: Of each kind.
    """
    test = arrays_of(predictions, counts, "test")
    whole = read_thresholds(chosen[WHOLE], class_names)
    ids = predictions.set_index("row")["image_id"]
    dice = dice_of_setup(test, whole.runs(test.gate, test.labels), whole.minimum_areas)
    own = sheet_means(np.where(test.true > 0, dice, np.nan))
    places: dict[int, list[str]] = {}
    for kind, order in _orders(test, whole, own).items():
        for place in order[:n]:
            places.setdefault(int(place), []).append(kind)
    captions = []
    for place, kinds in places.items():
        reached = f"Dice {own[place]:.2f} · " if np.isfinite(own[place]) else ""
        verdict = "passes" if whole.passes(test.gate)[place] else "stops"
        labels = ", ".join(
            f"{name} {p:.2f}{'*' if p >= limit else ''}"
            for name, p, limit in zip(class_names, test.labels[place], whole.labels or [], strict=True)
        )
        captions.append(
            f"{', '.join(kinds)} · {reached}{ids[test.rows[place]]} · "
            f"gate: P(defect) {test.gate[place]:.2f}, {verdict} · labels: {labels}"
        )
    rule = (
        f"best, median: the whole's Dice over all n = {np.isfinite(own).sum()} test sheets with a defect; "
        "others: most pixels at stake; thresholds by set-up"
    )
    return Examples(test.rows[list(places)], captions, rule)


def masks_of_setups(
    steps: Steps,
    sheets: np.ndarray,
    rows: np.ndarray,
    predictions: pd.DataFrame,
    chosen: Mapping[str, Any],
    *,
    batch_size: int,
    device: Device,
) -> dict[str, np.ndarray]:
    """Predict the masks of sheets in every set-up, bool [n, K, h, w] each."""
    found = np.stack(
        [
            np.concatenate(
                [
                    part > HALF
                    for part in mask_probabilities(
                        steps.unets[number], number, sheets, rows, batch_size=batch_size, device=device
                    )
                ]
            )
            for number in range(1, len(steps.class_names) + 1)
        ],
        axis=1,
    ).astype(np.uint8)
    of_rows = predictions.set_index("row").loc[rows]
    labels = of_rows[[f"p_{number}" for number in range(1, len(steps.class_names) + 1)]].to_numpy()
    masks = {}
    for setup in SETUPS:
        thresholds = read_thresholds(chosen[setup], steps.class_names)
        kept = [drop_small(found[:, k], [area]) for k, area in enumerate(thresholds.minimum_areas)]
        runs = thresholds.runs(of_rows["p_defect"].to_numpy(), labels)
        masks[setup] = np.stack(kept, axis=1).astype(bool) & runs[:, :, None, None]
    return masks


def _orders(test: HeldOut, whole: Thresholds, dice: np.ndarray) -> dict[str, np.ndarray]:
    """Put the sheets of each kind in the order in which they are taken; ``dice`` [n] is NaN without a defect."""
    passed, runs = whole.passes(test.gate), whole.runs(test.gate, test.labels)
    places = np.searchsorted(test.areas, whole.minimum_areas)
    found = test.found[places, :, np.arange(len(places))].T
    false = np.where(test.true == 0, found, 0)
    right = test.both[places, :, np.arange(len(places))].T
    return {
        "best": _most(np.where(np.isfinite(dice), dice, 0)),
        "median": _nearest_to_median(dice, test.true.sum(axis=1)),
        "false masks spared by the gate": _most(false.sum(axis=1) * ~passed * (test.true.sum(axis=1) == 0)),
        "true masks stopped by the gate": _most(right.sum(axis=1) * ~passed),
        "false masks spared by the labels": _most((false * ~runs).sum(axis=1) * passed),
        "true masks dropped by the labels": _most((right * ~runs).sum(axis=1) * passed),
    }


def _most(values: np.ndarray) -> np.ndarray:
    """Find the positions of values above 0, largest first."""
    order = np.argsort(-values, kind="stable")
    return order[values[order] > 0]


def _nearest_to_median(dice: np.ndarray, pixels: np.ndarray) -> np.ndarray:
    """Order the positions of defined values by their distance to the median one, of equal ones most pixels first.

    Sheets of which nothing is found count: the median of those where something is would flatter the cascade.
    """
    defined = np.flatnonzero(np.isfinite(dice))
    if not len(defined):
        return defined
    values = dice[defined]
    median = np.quantile(values, 0.5, method="lower")  # a sheet's own, not the mean of the middle two
    return defined[np.lexsort((-pixels[defined], np.abs(values - median)))]


def true_masks(masks: np.ndarray, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Spread bit fields uint8 [N, h, w] of sheets over their classes, bool [n, K, h, w]."""
    return np.stack([(masks[rows] >> k & 1).astype(bool) for k in range(n_classes)], axis=1)
