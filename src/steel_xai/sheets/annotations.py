"""Read the annotation table in any of its forms, image by image, and say what is wrong with which image."""

import unicodedata
from collections import defaultdict
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.sheets.rle import RleError, parse_rle

MASK_COLUMNS = ["ImageId", "ClassId", "EncodedPixels"]
JOINED_MASK_COLUMNS = ["ImageId_ClassId", "EncodedPixels"]
LABEL_COLUMNS = ["image_id", "label"]
NO_DEFECT = "no defect"

_SHOWN_CHARACTERS = 80
_SHOWN_COLUMNS = 10


@dataclass(frozen=True)
class Annotations:
    """What is known about each image.

    Attributes:
        classes: Image -> its defect classes, 1..K in ascending order; an image that is neither here nor refused
            has no defect.
        runs: Image -> class -> runs ``[n, 2]`` as `parse_rle` gives them; empty where labels come without masks.
        refused: Image -> why it cannot be used.
        has_masks: Whether the table has masks at all.
    """

    classes: dict[str, list[int]]
    runs: dict[str, dict[int, NDArray[np.int64]]]
    refused: dict[str, list[str]]
    has_masks: bool


def read_annotations(
    table: pd.DataFrame, image_ids: Collection[str], class_names: Sequence[str], raw_size: tuple[int, int]
) -> Annotations:
    """Read annotations in one of three forms, told apart by their columns.

    ``ImageId, ClassId, EncodedPixels`` (a row a mask), ``ImageId_ClassId, EncodedPixels`` (a row an image and class,
    empty without a mask), or ``image_id, label`` (no masks; a class number or name, 0 or "no defect").

    Args:
        table: All columns as text, missing values as empty text.
        image_ids: Names of the image files.
        class_names: The K defect classes in order.
        raw_size: Height and width of the images in pixels.

    Raises:
        InputError: The columns are of no known form.
    """
    ids = frozenset(image_ids)
    columns = set(table.columns)
    if columns == set(MASK_COLUMNS):
        rows = pd.DataFrame(
            {"image_id": table["ImageId"], "class": table["ClassId"].str.strip(), "rle": table["EncodedPixels"]}
        )
        return _read_masks(rows, ids, len(class_names), raw_size, row_means_mask=True)
    if columns == set(JOINED_MASK_COLUMNS):
        # pandas' own rpartition gives no columns where there are no rows
        parts = [name.rpartition("_") for name in table["ImageId_ClassId"]]
        rows = pd.DataFrame(
            {
                "image_id": [before if joint else after for before, joint, after in parts],
                "class": [after.strip() if joint else "" for _, joint, after in parts],
                "rle": list(table["EncodedPixels"]),
            },
            dtype="str",
        )
        return _read_masks(rows, ids, len(class_names), raw_size, row_means_mask=False)
    if columns == set(LABEL_COLUMNS):
        rows = pd.DataFrame({"image_id": table["image_id"], "class": _label_numbers(table["label"], class_names)})
        return _read_labels(rows, ids, len(class_names))
    forms = "; ".join(",".join(form) for form in (MASK_COLUMNS, JOINED_MASK_COLUMNS, LABEL_COLUMNS))
    names = [_shown(str(name)) for name in table.columns[:_SHOWN_COLUMNS]]
    more = ",..." if len(table.columns) > _SHOWN_COLUMNS else ""
    raise InputError(
        f"train.csv has the columns {','.join(names)}{more}; give it the columns of one of these forms: {forms}"
    )


def _read_masks(
    rows: pd.DataFrame, ids: frozenset[str], class_count: int, raw_size: tuple[int, int], *, row_means_mask: bool
) -> Annotations:
    problems = _row_problems(rows, ids, range(1, class_count + 1))
    runs: defaultdict[str, dict[int, NDArray[np.int64]]] = defaultdict(dict)
    empty = rows["rle"].str.strip() == ""
    masked = rows[~empty]
    if row_means_mask:
        for image_id, label in _distinct(rows[empty]):
            problems[image_id].append(f"class {_shown(label)} has a row but no mask")
    for image_id, label, text in zip(*(masked[name].to_list() for name in ("image_id", "class", "rle")), strict=True):
        try:
            parsed = parse_rle(text, *raw_size)
        except RleError as error:
            problems[image_id].append(f"class {_shown(label)}: {error}")
            continue
        if image_id not in problems:
            runs[image_id][int(label)] = parsed
    kept = {image_id: runs[image_id] for image_id in runs if image_id not in problems}
    classes = {image_id: sorted(masks) for image_id, masks in kept.items()}
    return Annotations(classes, kept, dict(problems), has_masks=True)


def _read_labels(rows: pd.DataFrame, ids: frozenset[str], class_count: int) -> Annotations:
    problems = _row_problems(rows, ids, range(class_count + 1))
    found: defaultdict[str, list[int]] = defaultdict(list)
    for image_id, label in zip(rows["image_id"].to_list(), rows["class"].to_list(), strict=True):
        if image_id not in problems:
            found[image_id].append(int(label))
    for image_id, labels in found.items():
        if 0 in labels and len(labels) > 1:
            problems[image_id].append("labelled both with and without a defect")
    for image_id in ids - set(rows["image_id"]):
        problems[image_id].append("no label")
    classes = {image_id: sorted(set(found[image_id]) - {0}) for image_id in found if image_id not in problems}
    return Annotations(classes, {}, dict(problems), has_masks=False)


def _row_problems(rows: pd.DataFrame, ids: frozenset[str], class_numbers: range) -> defaultdict[str, list[str]]:
    """Find what is wrong with names and classes, and files that are missing; image -> reasons."""
    problems: defaultdict[str, list[str]] = defaultdict(list)
    annotated = set(rows["image_id"].to_list())
    for image_id in sorted(ids | annotated):
        if reason := _name_problem(image_id):
            problems[image_id].append(reason)
        elif image_id not in ids:
            problems[image_id].append("image file is missing")
    for file, name in _nearly_named(ids, annotated - ids):
        problems[file].append(f"train.csv names {_shown(name)!r}, which differs in blanks, case or accents only")

    unknown = rows[~rows["class"].isin([str(number) for number in class_numbers])]
    for image_id, label in _distinct(unknown):
        problems[image_id].append(f"class {_shown(label)!r} is not one of {class_numbers[0]}..{class_numbers[-1]}")
    for image_id, label in _distinct(rows[rows.duplicated(["image_id", "class"])]):
        problems[image_id].append(f"class {_shown(label)} has more than one row")
    return problems


def _nearly_named(files: frozenset[str], missing: set[str]) -> Iterable[tuple[str, str]]:
    """Find files that an annotation without a file may be meant for: else they would count as free of defects."""
    meant = {_folded(name): name for name in sorted(missing)}
    return ((file, meant[_folded(file)]) for file in sorted(files) if _folded(file) in meant)


def _folded(name: str) -> str:
    return unicodedata.normalize("NFKC", name).casefold().strip()


def _distinct(rows: pd.DataFrame) -> Iterable[tuple[str, str]]:
    pairs = rows[["image_id", "class"]].drop_duplicates()
    return zip(pairs["image_id"].to_list(), pairs["class"].to_list(), strict=True)


def _shown(text: str) -> str:
    """Make a text of the user's fit for a message: short, and without what would upset a terminal."""
    short = text if len(text) <= _SHOWN_CHARACTERS else text[:_SHOWN_CHARACTERS] + "..."
    return short if short.isprintable() else short.encode("unicode_escape").decode()


def _name_problem(image_id: str) -> str | None:
    """Tell why a name cannot be that of a file directly in the image folder."""
    if not image_id.strip():
        return "image name is empty"
    if not image_id.isprintable():
        return "image name has unprintable characters"
    if "/" in image_id or "\\" in image_id or image_id in (".", ".."):
        return "image name has a path in it"
    return None


def _label_numbers(labels: pd.Series, class_names: Sequence[str]) -> pd.Series:
    """Replace the names of classes by their numbers, as text; leave everything else as it is."""
    numbers = {name: str(number) for number, name in enumerate([NO_DEFECT, *class_names])}
    stripped = labels.str.strip()
    return stripped.map(numbers).fillna(stripped)
