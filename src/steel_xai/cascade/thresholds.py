"""Set-ups of the cascade, and their thresholds, chosen on validation sheets."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from steel_xai.cascade.held_out import HeldOut

SETUPS = {
    "unets": (False, False),
    "gate_unets": (True, False),
    "labels_unets": (False, True),
    "gate_labels_unets": (True, True),
}
"""Whether a set-up has the gate, and the label step; masks come from the U-Nets in all."""

WHOLE = "gate_labels_unets"

_TIE = 1e-9


class Thresholds(NamedTuple):
    """Of one set-up: probabilities from which a sheet passes, None without the step, and areas in tensor pixels."""

    gate: float | None
    labels: list[float] | None
    minimum_areas: list[int]

    def passes(self, gate: np.ndarray) -> np.ndarray:
        """Tell which sheets pass the gate, bool [n], by their probabilities of a defect [n]."""
        return gate >= (self.gate or 0)

    def runs(self, gate: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Tell which sheets reach which class's network, bool [n, K], by their probabilities [n] and [n, K]."""
        return self.passes(gate)[:, None] & (labels >= np.array(self.labels or 0))


def choose_thresholds(
    validation: HeldOut, thresholds: Sequence[float], class_names: Sequence[str]
) -> dict[str, dict[str, Any]]:
    """Choose each set-up's thresholds jointly by its mean Dice over validation sheets and classes.

    With the gate's threshold given, classes do not depend on each other, so that the best combination of all is found
    by trying, for every threshold of the gate, every pair of threshold and minimum area of each class. Of equally good
    ones the smallest area is taken, and the middle one of the thresholds.

    Args:
        validation: What the steps say of those sheets.
        thresholds: To choose from, for the gate and the label step.
        class_names: The K classes.

    Returns:
        By set-up: ``gate``, ``labels`` by class, both None without the step, ``minimum_areas`` by class, and
        ``validation_dice``, the mean reached, which is too high for having been chosen.
    """
    candidates = sorted(thresholds)
    return {
        name: _choose(validation, candidates if has_gate else [None], candidates if has_labels else [None], class_names)
        for name, (has_gate, has_labels) in SETUPS.items()
    }


def read_thresholds(chosen: dict[str, Any], class_names: Sequence[str]) -> Thresholds:
    """Read one set-up of what `choose_thresholds` returns."""
    labels = None if chosen["labels"] is None else [chosen["labels"][name] for name in class_names]
    return Thresholds(chosen["gate"], labels, [chosen["minimum_areas"][name] for name in class_names])


def _choose(
    validation: HeldOut,
    gates: Sequence[float | None],
    labels: Sequence[float | None],
    class_names: Sequence[str],
) -> dict[str, Any]:
    tried = [_choose_classes(validation, gate, labels) for gate in gates]
    scores = np.array([score for score, _, _ in tried])
    best = _middle(scores)
    score, chosen, areas = tried[best]
    return {
        "gate": gates[best],
        "labels": None if labels[0] is None else dict(zip(class_names, (labels[i] for i in chosen), strict=True)),
        "minimum_areas": dict(zip(class_names, (int(validation.areas[i]) for i in areas), strict=True)),
        "validation_dice": score,
    }


def _choose_classes(
    validation: HeldOut, gate: float | None, labels: Sequence[float | None]
) -> tuple[float, list[int], list[int]]:
    """Find the best mean Dice behind a gate, and for each class the places of its threshold and area."""
    passed = validation.gate >= (gate or 0)
    empty, dice = validation.empty_dice(), validation.dice()
    total, thresholds, areas = 0.0, [], []
    for k in range(empty.shape[1]):
        kept = np.stack([passed & (validation.labels[:, k] >= (label or 0)) for label in labels])
        gain = dice[:, :, k] - empty[:, k]
        scores = empty[:, k].mean() + kept.astype(float) @ gain.T / len(empty)  # (threshold, area)
        best = scores.max()
        areas.append(int((scores >= best - _TIE).any(axis=0).argmax()))
        thresholds.append(_middle(scores[:, areas[-1]]))
        total += float(best)
    return total / empty.shape[1], thresholds, areas


def _middle(scores: np.ndarray) -> int:
    """Find the middle one of the best scores, where a little more or less does no harm."""
    best = np.flatnonzero(scores >= scores.max() - _TIE)
    return int(best[(len(best) - 1) // 2])
