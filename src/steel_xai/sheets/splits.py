"""From sheets to the labelled examples of a task, and their split into train, validation and test."""

import logging
from collections.abc import Mapping, Sequence
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.parameters import SplitFractions, SplitParameters
from steel_xai.sheets.annotations import NO_DEFECT
from steel_xai.sheets.flips import count_distinct, flip_probability, flipped_copies

logger = logging.getLogger(__name__)

SPLITS = ("train", "validation", "test")
LabelKind = Literal["any_defect", "single_class"]
"""One label a sheet: any defect or none, or which class."""
SetKind = Literal["every_class"]
"""A set of classes a sheet, as a bit field: bit k-1 stands for class k, and 0 for no defect."""
SeveralClasses = Literal["drop", "largest_area"]


def output_names(labels: LabelKind | SetKind, class_names: Sequence[str]) -> list[str]:
    """Name the labels 0, 1, ... of a task, or the bits of its labels."""
    if labels == "every_class":
        return list(class_names)
    return [NO_DEFECT, "defect"] if labels == "any_defect" else [NO_DEFECT, *class_names]


def draw_split(index: pd.DataFrame, splits: SplitParameters, class_names: Sequence[str], seed: int) -> pd.DataFrame:
    """Draw the split of a task from the ``sheet_index``: labels, train/validation/test, copies of rare classes.

    Raises:
        InputError: As `example_labels` and `split_sheets` do.
    """
    examples = example_labels(index, splits.labels, splits.several_classes)
    return copy_rare_classes(split_sheets(examples, splits.fractions, seed), splits, class_names, seed)


def example_labels(
    index: pd.DataFrame, labels: LabelKind | SetKind, several_classes: SeveralClasses = "drop"
) -> pd.DataFrame:
    """Give each sheet the label that a task asks for.

    ``any_defect``: 1 with any defect, 0 without. ``single_class``: 0 without a defect, k with class k. There, sheets of
    several classes are left out (``drop``), or get the class of largest raw mask area, the lowest of equal ones
    (``largest_area``); the log counts them either way. A ``single_class`` task can do without defect-free sheets, which
    is logged as a warning: none trains its output ``no defect``. ``every_class``: a bit field, in which bit k-1 stands
    for class k.

    Args:
        index: The ``sheet_index``.
        labels: What the task tells apart.
        several_classes: What a ``single_class`` task does with sheets of several classes.

    Returns:
        ``row, image_id, label, duplicate_group``.

    Raises:
        InputError: A label of the task has no sheet, or areas are asked for where labels come without masks.
    """
    present = index.filter(regex=r"^label_\d+$").to_numpy() > 0
    count = present.sum(axis=1)
    kept = np.ones(len(index), dtype=bool)
    if labels == "every_class":
        label = present @ (1 << np.arange(present.shape[1]))
    elif labels == "any_defect":
        label = (count > 0).astype(np.int64)
    else:
        label = np.where(count > 0, present.argmax(axis=1) + 1, 0)
        several = count > 1
        if several_classes == "largest_area":
            label[several], fate = _largest(index[several], present[several]), "labelled by their largest area"
        else:
            kept, fate = ~several, "left out"
        if several.any():
            logger.info("%d sheets with more than one class %s", several.sum(), fate)

    examples = index.loc[kept, ["row", "image_id"]].reset_index(drop=True)
    examples["label"] = label[kept]
    examples["duplicate_group"] = index.loc[kept, "duplicate_group"].to_numpy()
    if labels == "every_class":
        _check_every_class(np.bitwise_or.reduce(label), present.shape[1], "the data")
    else:
        _check_labels(set(examples["label"]), labels, present.shape[1])
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


def hold_out_together(examples: pd.DataFrame, binary_split: pd.DataFrame, multi_split: pd.DataFrame) -> pd.DataFrame:
    """Split the sheets of the multi-label task so that it has not seen what the other two tasks are tested on.

    Its test sheets are those of the binary task, which has all sheets, and of the multi-class task; its validation
    and training sheets are the binary task's without these. So whatever is trained on this split can be scored on
    either task's test sheets, and what is chosen on its validation sheets did not train the binary classifier.
    Near-duplicates of a sheet go where the sheet goes.

    Args:
        examples: ``row, image_id, label, duplicate_group``, as `example_labels` gives them for ``every_class``.
        binary_split: Of the same sheets, with any copies.
        multi_split: Of some of them, with any copies.

    Returns:
        ``row, image_id, label, split, copy, flip_h, flip_v`` in the order of the examples; the last three are 0.

    Raises:
        InputError: The splits are of other sheets, or a class has no training or no test sheet.
    """
    group = examples.set_index("row")["duplicate_group"]

    def groups(split: pd.DataFrame, name: str) -> pd.Index:
        return pd.Index(group.reindex(split.loc[split["split"] == name, "row"]).unique())

    for split in (binary_split, multi_split):
        check_rows(split, examples, len(examples))
    is_test = examples["duplicate_group"].isin(groups(binary_split, "test").union(groups(multi_split, "test")))
    is_validation = examples["duplicate_group"].isin(groups(binary_split, "validation"))
    result = examples[["row", "image_id", "label"]].reset_index(drop=True)
    result["split"] = np.select([is_test, is_validation], ["test", "validation"], "train")
    # A class without a validation sheet can be trained and tested; only its threshold cannot be chosen.
    for name in ("train", "test"):
        fields = result.loc[result["split"] == name, "label"].to_numpy()
        n_classes = int(examples["label"].max()).bit_length()
        _check_every_class(np.bitwise_or.reduce(fields), n_classes, f"the {name} split")
    return result.assign(copy=0, flip_h=0, flip_v=0)


def copy_rare_classes(
    split: pd.DataFrame, splits: SplitParameters, class_names: Sequence[str], seed: int
) -> pd.DataFrame:
    """Append the flipped copies of training sheets that ``splits.extra_copies`` asks for, and log how many differ.

    Its keys are names of the task's outputs: a class, ``no defect``, or ``defect`` of an ``any_defect`` task. A name
    that the task does not have is ignored with a warning, because sources differ in their classes. A sheet of several
    classes gets the largest number asked for any of them.

    Args:
        split: As `split_sheets` draws it.
        splits: How many copies of which outputs, and how they are flipped.
        class_names: The K defect classes.
        seed: Same seed, same copies.
    """
    if splits.augmentation == "none":
        return split
    if splits.labels == "every_class":
        outputs = [NO_DEFECT, *class_names]
        sets = _sets(split["label"], len(class_names))
    else:
        outputs = output_names(splits.labels, class_names)
        sets = {label: [label] for label in range(len(outputs))}
    copies = _copies_by_name(splits.extra_copies, outputs)
    wanted = {label: max(copies[k] for k in classes) for label, classes in sets.items()}
    probability = flip_probability() if splits.flip_probability == "auto" else splits.flip_probability
    result = flipped_copies(split, wanted, splits.augmentation, probability, seed)
    _log_copies(result, {label: " + ".join(outputs[k] for k in classes) for label, classes in sets.items()})
    return result


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


def _largest(index: pd.DataFrame, present: NDArray[np.bool_]) -> NDArray[np.int64]:
    """Find the class of largest area for each sheet of ``index``, the lowest one of a tie."""
    areas = index.filter(regex=r"^area_\d+$")
    if areas.isna().any(axis=None):
        raise InputError(
            "splits.several_classes: largest_area needs the areas of masks, and the labels of "
            f"'{index['image_id'].iloc[0]}' come without masks; set splits.several_classes: drop to leave such "
            "sheets out"
        )
    return np.asarray(np.where(present, areas.to_numpy(np.int64), -1).argmax(axis=1) + 1)


def _check_labels(found: set[int], labels: LabelKind, n_classes: int) -> None:
    if labels == "any_defect":
        if 0 not in found:
            raise InputError(
                "the binary task cannot be trained, because every sheet has a defect and there is nothing to tell "
                "defects from; add sheets without a defect, or train the multi-class task: "
                "`kedro run --pipeline=multi_model`"
            )
        if 1 not in found:
            raise InputError(
                "the binary task cannot be trained, because no sheet has a defect; check the annotations, or add "
                "sheets with one"
            )
        return
    for missing in sorted(set(range(1, n_classes + 1)) - found):
        raise InputError(
            f"no sheet has class {missing} and no other (label {missing}); add sheets of that class or take it out of "
            "class_names"
        )
    if 0 not in found:
        logger.warning("every sheet has a defect, so no sheet trains the output '%s'", NO_DEFECT)


def _open(fields: NDArray[np.int64], n_classes: int) -> NDArray[np.bool_]:
    """Open bit fields ``[n]`` of classes: ``[n, K]``."""
    return np.asarray(fields[:, None] >> np.arange(n_classes) & 1 == 1)


def _sets(labels: pd.Series, n_classes: int) -> dict[int, list[int]]:
    """List the classes 1..K of each bit field that occurs; 0 alone of an empty one."""
    fields = labels.unique()
    return {
        int(field): (np.flatnonzero(bits) + 1).tolist() or [0]
        for field, bits in zip(fields, _open(fields, n_classes), strict=True)
    }


def _check_every_class(found: int, n_classes: int, where: str) -> None:
    """Refuse a bit field of all classes that occur if one is missing."""
    for missing in [k + 1 for k in range(n_classes) if not found >> k & 1]:
        raise InputError(
            f"the multi-label task cannot be trained, because there is no sheet of class {missing} in {where}; add "
            "sheets of that class or take it out of class_names"
        )


def _copies_by_name(extra_copies: Mapping[str, int], outputs: Sequence[str]) -> list[int]:
    """Look up how many copies each output is to have."""
    unknown = [name for name in extra_copies if name not in outputs]
    if unknown:
        logger.warning(
            "splits.extra_copies names %s, which this task does not tell apart (its outputs are %s); no copies of that",
            ", ".join(map(repr, unknown)),
            ", ".join(map(repr, outputs)),
        )
    return [extra_copies.get(name, 0) for name in outputs]


def _log_copies(split: pd.DataFrame, names: Mapping[int, str]) -> None:
    for counts in count_distinct(split).itertuples():
        if counts.copies:
            logger.info(
                "'%s': %d training sheets and %d flipped copies, %d distinct pictures",
                names[counts.label],
                counts.sheets,
                counts.copies,
                counts.distinct_pictures,
            )
