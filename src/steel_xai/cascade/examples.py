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

RULE = "of each kind the sheet where most pixels are at stake; each set-up has its own thresholds"


class Examples(NamedTuple):
    """Rows of test sheets and what each is."""

    rows: np.ndarray
    captions: list[str]


def choose_examples(
    predictions: pd.DataFrame, counts: pd.DataFrame, chosen: Mapping[str, Any], class_names: Sequence[str], n: int
) -> Examples:
    """Choose n sheets of each kind, fewer where there are not so many.

    Found by the cascade: by highest and by median Dice of a sheet's own classes. False masks that the gate spares, true
    ones that it stops, false ones that the label step spares, and true ones that it drops: by most pixels.

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
    places: dict[int, str] = {}
    for kind, order in _orders(test, whole, own).items():
        for place in [place for place in order if place not in places][:n]:
            places[int(place)] = kind
    captions = []
    for place, kind in places.items():
        verdict = "passes" if whole.passes(test.gate)[place] else "stops"
        labels = ", ".join(
            f"{name} {p:.2f}{'*' if p >= limit else ''}"
            for name, p, limit in zip(class_names, test.labels[place], whole.labels or [], strict=True)
        )
        captions.append(
            f"{kind} · {ids[test.rows[place]]} · gate: P(defect) {test.gate[place]:.2f}, {verdict} · labels: {labels}"
        )
    return Examples(test.rows[list(places)], captions)


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
    """Put the sheets of each kind in the order in which they are taken."""
    passed, runs = whole.passes(test.gate), whole.runs(test.gate, test.labels)
    places = np.searchsorted(test.areas, whole.minimum_areas)
    found = test.found[places, :, np.arange(len(places))].T
    false = np.where(test.true == 0, found, 0)
    right = test.both[places, :, np.arange(len(places))].T
    by_dice = _most(np.where(np.isfinite(dice), dice, 0))
    middle = len(by_dice) // 2
    return {
        "best": by_dice,
        "median": by_dice[np.argsort(np.abs(np.arange(len(by_dice)) - middle), kind="stable")],
        "false masks spared by the gate": _most(false.sum(axis=1) * ~passed * (test.true.sum(axis=1) == 0)),
        "true masks stopped by the gate": _most(right.sum(axis=1) * ~passed),
        "false masks spared by the labels": _most((false * ~runs).sum(axis=1) * passed),
        "true masks dropped by the labels": _most((right * ~runs).sum(axis=1) * passed),
    }


def _most(values: np.ndarray) -> np.ndarray:
    """Find the positions of values above 0, largest first."""
    order = np.argsort(-values, kind="stable")
    return order[values[order] > 0]


def true_masks(masks: np.ndarray, rows: np.ndarray, n_classes: int) -> np.ndarray:
    """Spread bit fields uint8 [N, h, w] of sheets over their classes, bool [n, K, h, w]."""
    return np.stack([(masks[rows] >> k & 1).astype(bool) for k in range(n_classes)], axis=1)
