"""From sheets to the labelled examples of a task, and their split into train, validation and test."""

import logging
from collections.abc import Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.parameters import SplitFractions
from steel_xai.sheets.annotations import NO_DEFECT

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
LabelKind = Literal["any_defect", "single_class"]


def output_names(labels: LabelKind, class_names: Sequence[str]) -> list[str]:
    """Name the labels 0, 1, ... of a task."""
    return [NO_DEFECT, "defect"] if labels == "any_defect" else [NO_DEFECT, *class_names]


def example_labels(index: pd.DataFrame, labels: LabelKind) -> pd.DataFrame:
    """Give each sheet the one label that a task asks for.

    ``any_defect``: 1 with any defect, 0 without. ``single_class``: 0 without a defect, k with class k only; sheets of
    several classes are left out and counted in the log.

    Args:
        index: The ``sheet_index``.
        labels: What the task tells apart.

    Returns:
        ``row, image_id, label, duplicate_group``.

    Raises:
        InputError: A label of the task has no sheet at all.
    """
    present = index.filter(regex=r"^label_\d+$").to_numpy() > 0
    count = present.sum(axis=1)
    if labels == "any_defect":
        label, kept, expected = (count > 0).astype(np.int64), np.ones(len(index), dtype=bool), 2
    else:
        label, kept, expected = np.where(count > 0, present.argmax(axis=1) + 1, 0), count <= 1, present.shape[1] + 1
        if not kept.all():
            logger.info("left out %d sheets with more than one class", (~kept).sum())

    examples = index.loc[kept, ["row", "image_id"]].reset_index(drop=True)
    examples["label"] = label[kept]
    examples["duplicate_group"] = index.loc[kept, "duplicate_group"].to_numpy()
    for missing in sorted(set(range(expected)) - set(examples["label"])):
        raise InputError(f"no sheet {_describe(missing, labels)} (label {missing}); {_way_out(missing, labels)}")
    return examples


def split_sheets(examples: pd.DataFrame, fractions: SplitFractions, seed: int) -> pd.DataFrame:
    """Split examples, stratified by label, with all near-duplicates of a sheet on one side.

    Groups are dealt out in random order, large ones first, each to the split that lacks its labels most relative
    to its target: the greedy rule of Sechidis et al. (2011), with groups in place of label sets. Any fractions
    and rare classes work, which folds (scikit-learn's StratifiedGroupKFold) cannot offer.

    Args:
        examples: ``row, image_id, label, duplicate_group``, as `example_labels` gives them.
        fractions: Share of each split.
        seed: Same seed, same split.

    Returns:
        ``row, image_id, label, split, copy, flip_h, flip_v`` in the order of the examples; the last three are 0.

    Raises:
        InputError: A class is too rare for every split to get some of it.
    """
    labels, label = np.unique(examples["label"].to_numpy(), return_inverse=True)
    groups, group = np.unique(examples["duplicate_group"].to_numpy(), return_inverse=True)
    counts = np.zeros((len(groups), len(labels)), dtype=np.int64)
    np.add.at(counts, (group, label), 1)
    for name, n_groups in zip(labels, (counts > 0).sum(axis=0), strict=True):
        if n_groups < len(SPLITS):
            raise InputError(
                f"label {name} has {n_groups} independent sheets (near-duplicates count once), too few for "
                f"{', '.join(SPLITS)}; add sheets of that class or take it out of class_names"
            )

    shares = np.array([getattr(fractions, split) for split in SPLITS])
    assigned = _deal_out(counts, shares, np.random.default_rng(seed))
    split = assigned[group]
    for index, name in enumerate(SPLITS):
        for missing in np.setdiff1d(np.arange(len(labels)), label[split == index]):
            raise InputError(
                f"the {name} split got no sheet of label {labels[missing]}, because near-duplicate sheets stay "
                "together; add sheets of that class, or raise data_processing.duplicates.min_correlation"
            )
    result = examples[["row", "image_id", "label"]].reset_index(drop=True)
    result["split"] = np.array(SPLITS)[split]
    return result.assign(copy=0, flip_h=0, flip_v=0)


def check_rows(split: pd.DataFrame, index: pd.DataFrame, n_sheets: int) -> None:
    """Refuse a split whose rows mean other sheets than the index does, or an index of another number of sheets.

    Raises:
        InputError: Split, index and tensors do not come from the same processing of the same files.
    """
    names = index.set_index("row")["image_id"]
    if len(index) != n_sheets or not split["image_id"].equals(names.reindex(split["row"]).reset_index(drop=True)):
        raise InputError(
            "the split was drawn from other sheets than the latest tensors hold, so its labels would belong to other "
            "pictures; `kedro run --pipeline=splits` draws it anew, or pin versions that belong together with "
            "--load-versions"
        )


def _deal_out(counts: NDArray[np.int64], shares: NDArray[np.float64], rng: np.random.Generator) -> NDArray[np.int64]:
    """Assign groups with ``counts`` ``[groups, labels]`` to splits with given shares; returns ``[groups]``."""
    order = rng.permutation(len(counts))
    order = order[np.argsort(-counts[order].sum(axis=1), kind="stable")]
    targets = shares[:, None] * counts.sum(axis=0)  # (split, label)
    missing = targets.copy()
    assigned = np.empty(len(counts), dtype=np.int64)
    for group in order:
        lack = (missing / targets) @ counts[group]
        # Rounding keeps a tie a tie on every machine; the larger split wins it.
        best = np.lexsort((-shares, -lack.round(9)))[0]
        assigned[group] = best
        missing[best] -= counts[group]
    return assigned


def _describe(label: int, labels: LabelKind) -> str:
    if label == 0:
        return "is without a defect"
    return "has a defect" if labels == "any_defect" else f"has class {label} and no other"


def _way_out(label: int, labels: LabelKind) -> str:
    if label == 0:
        return "add sheets without a defect: a classifier needs both"
    if labels == "any_defect":
        return "check the annotations: every sheet is without a defect"
    return "add sheets of that class or take it out of class_names"
