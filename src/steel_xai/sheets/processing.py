"""From raw image files to tensors, masks and an index, a batch at a time."""

import logging
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.array_file import ArrayFile
from steel_xai.errors import InputError
from steel_xai.parameters import MAX_CLASSES, ProcessingParameters
from steel_xai.raw_files import RawFile
from steel_xai.sheets.annotations import Annotations
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file
from steel_xai.sheets.parallel import map_batches
from steel_xai.sheets.rle import draw_runs
from steel_xai.staging import staging

logger = logging.getLogger(__name__)

# Area averages of 0/1 pixels in float32 are exact to about 1e-7; a pixel covered by exactly half must count.
_HALF = 0.5 - 1e-4
_LISTED_REASONS = 5
_REASONS_OF_AN_IMAGE = 20


@dataclass(frozen=True)
class ProcessedSheets:
    """Accepted sheets in two staged ``.npy`` files, and the tables about accepted and refused ones.

    Attributes:
        sheets: uint8 ``[N, C, h, w]``.
        masks: uint8 bit field ``[N, h, w]``, bit k-1 = class k; ``[0, h, w]`` where labels come without masks.
        index: ``row, image_id, label_1..label_K`` (0/1) and ``area_1..area_K`` (raw mask pixels; missing
            where labels come without masks), in the order of the arrays.
        quarantine: ``image_id, reason``, one row an image.
    """

    sheets: Path
    masks: Path
    index: pd.DataFrame
    quarantine: pd.DataFrame


@dataclass(frozen=True)
class _Task:
    """All that a worker needs to know of one image."""

    image_id: str
    path: RawFile | None
    problems: list[str]
    runs: dict[int, NDArray[np.int64]]


@dataclass(frozen=True)
class _Batch:
    """What a worker hands back: accepted sheets, and what is wrong with the others."""

    accepted: list[str]
    sheets: NDArray[np.uint8]
    masks: NDArray[np.uint8]
    refused: dict[str, list[str]]


def process_sheets(
    image_paths: Mapping[str, RawFile],
    annotations: Annotations,
    *,
    raw_size: tuple[int, int],
    tensor_size: tuple[int, int],
    channels: int,
    class_count: int,
    parameters: ProcessingParameters,
    folder: Path,
) -> ProcessedSheets:
    """Decode all images and draw their masks, in parallel and in ascending order of the image names.

    Every image is either accepted or refused as a whole with all its reasons; memory does not grow with
    their number.

    Args:
        image_paths: Image name -> file.
        annotations: What `read_annotations` found.
        raw_size: Height and width of the files in pixels.
        tensor_size: Height and width of the tensors in pixels.
        channels: 1 (grey) or 3 (red, green, blue).
        class_count: K, the number of defect classes.
        parameters: Workers and batch size.
        folder: Where the arrays are staged, in a folder of this run's own.

    Raises:
        InputError: No image can be used, there are more than 8 classes, or the arrays cannot be written.
    """
    if class_count > MAX_CLASSES:
        raise InputError(f"class_names lists {class_count} classes; masks hold at most {MAX_CLASSES}")

    tasks = [
        _Task(name, image_paths.get(name), annotations.refused.get(name, []), annotations.runs.get(name, {}))
        for name in sorted(image_paths.keys() | annotations.refused.keys())
    ]

    accepted: list[str] = []
    refused: dict[str, list[str]] = {}
    with ExitStack() as files:
        staged = files.enter_context(staging(folder))
        sheets = files.enter_context(ArrayFile(staged / "sheets.npy", np.uint8, (channels, *tensor_size)))
        masks = files.enter_context(ArrayFile(staged / "masks.npy", np.uint8, tensor_size))
        batches = map_batches(
            partial(_process_batch, raw_size=raw_size, tensor_size=tensor_size, channels=channels),
            len(tasks),
            n_jobs=parameters.n_jobs,
            batch_size=parameters.batch_size,
            description="sheets",
            unit="sheet",
            take=lambda rows: tasks[rows],
        )
        for _, batch in files.enter_context(closing(batches)):
            sheets.append(batch.sheets)
            if annotations.has_masks:
                masks.append(batch.masks)
            accepted += batch.accepted
            refused |= batch.refused
        _report(len(accepted), refused)
    return ProcessedSheets(sheets.path, masks.path, _index(accepted, annotations, class_count), _quarantine(refused))


def shrink_mask(mask: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Resize a mask ``[height, width]`` of 0 and 1: on where at least half of a pixel's area is covered.

    A mask too thin for that keeps its best-covered pixels, so that no defect vanishes.
    """
    import cv2

    # Masks are drawn column by column: resizing the transpose saves a copy.
    coverage = cv2.resize(mask.T.astype(np.float32), size, interpolation=cv2.INTER_AREA).T
    best = float(coverage.max())
    return np.asarray(coverage >= min(_HALF, best)) if best > 0 else np.zeros(size, dtype=bool)


def draw_shrunk(runs: NDArray[np.int64], raw_size: tuple[int, int], size: tuple[int, int]) -> NDArray[np.bool_]:
    """Draw runs as a mask of the tensor's size, as `shrink_mask` of the whole picture would, where they reach only."""
    height, width = raw_size
    if not len(runs) or width % size[1]:
        return shrink_mask(draw_runs(runs, height, width), size)
    step = width // size[1]  # raw columns in a column of the tensor
    first, end = int(runs[0, 0]) // (height * step), -(-int(runs[-1].sum()) // (height * step))
    part = draw_runs(runs - np.array([first * step * height, 0]), height, (end - first) * step)
    mask = np.zeros(size, dtype=bool)
    mask[:, first:end] = shrink_mask(part, (size[0], end - first))
    return mask


def _process_batch(
    tasks: list[_Task], raw_size: tuple[int, int], tensor_size: tuple[int, int], channels: int
) -> _Batch:
    accepted: list[str] = []
    refused: dict[str, list[str]] = {}
    sheets = np.empty((len(tasks), channels, *tensor_size), dtype=np.uint8)
    masks = np.zeros((len(tasks), *tensor_size), dtype=np.uint8)
    for task in tasks:
        problems = list(task.problems)
        row = len(accepted)
        if task.path is not None:
            try:
                sheets[row] = decode_sheet(read_plain_file(task.path), raw_size, tensor_size, channels)
            except SheetError as error:
                problems.append(str(error))
        if problems:
            refused[task.image_id] = problems
            continue
        for label, runs in task.runs.items():
            masks[row] |= draw_shrunk(runs, raw_size, tensor_size).astype(np.uint8) << (label - 1)
        accepted.append(task.image_id)
    return _Batch(accepted, sheets[: len(accepted)], masks[: len(accepted)], refused)


def _index(accepted: list[str], annotations: Annotations, class_count: int) -> pd.DataFrame:
    index = pd.DataFrame({"row": np.arange(len(accepted)), "image_id": accepted})
    labels = range(1, class_count + 1)
    for label in labels:
        index[f"label_{label}"] = [int(label in annotations.classes.get(name, ())) for name in accepted]
    for label in labels:
        areas = [_area(annotations, name, label) for name in accepted]
        index[f"area_{label}"] = pd.array(areas, dtype="Int64")
    return index


def _area(annotations: Annotations, name: str, label: int) -> int | None:
    if not annotations.has_masks:
        return None
    runs = annotations.runs.get(name, {}).get(label)
    return 0 if runs is None else int(runs[:, 1].sum())


def _quarantine(refused: Mapping[str, list[str]]) -> pd.DataFrame:
    names, reasons = map(_escaped, refused), map(_join_reasons, refused.values())
    return pd.DataFrame({"image_id": list(names), "reason": list(reasons)}, dtype="str")


def _escaped(name: str) -> str:
    """Write a name in printable characters. Backslashes are doubled as well, or two names could become one."""
    return name if name.isprintable() and "\\" not in name else name.encode("unicode_escape").decode()


def _join_reasons(reasons: list[str]) -> str:
    more = len(reasons) - _REASONS_OF_AN_IMAGE
    return "; ".join(reasons[:_REASONS_OF_AN_IMAGE] + ([f"{more} more reasons"] if more > 0 else []))


def _report(accepted: int, refused: Mapping[str, list[str]]) -> None:
    """Log the counts, or raise if nothing is left to work with."""
    reasons = _count_reasons(refused.values())
    if not accepted:
        raise InputError(f"none of the {len(refused)} sheets can be used: {reasons or 'there is no image file'}")
    logger.info("sheets: %d accepted, %d refused%s", accepted, len(refused), f" ({reasons})" if refused else "")


def _count_reasons(problems: Iterable[list[str]]) -> str:
    counts = Counter(reason for reasons in problems for reason in reasons)
    listed = [f"{count} x {reason}" for reason, count in counts.most_common(_LISTED_REASONS)]
    more = len(counts) - len(listed)
    return "; ".join(listed + ([f"{more} more kinds"] if more else []))
