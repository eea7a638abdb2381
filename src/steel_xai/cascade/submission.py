"""The cascade's masks of sheets without labels, as Kaggle's competition takes them."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.cascade.held_out import HALF
from steel_xai.cascade.steps import Steps, class_probabilities, defect_probability, mask_probabilities
from steel_xai.cascade.thresholds import Thresholds
from steel_xai.errors import InputError
from steel_xai.raw_files import RawFile
from steel_xai.segmentation.masks import drop_small
from steel_xai.segmentation.segmenter import Device
from steel_xai.sheets.decoding import SheetError, decode_sheet, is_image, read_plain_file
from steel_xai.sheets.rle import RleError, decode_rle, encode_rle

ID, PIXELS = "ImageId_ClassId", "EncodedPixels"

IMAGE_SUFFIXES = frozenset({".jpg", ".jpeg", ".png"})
"""Of names that mean an image, in any case, whatever the file holds."""

logger = logging.getLogger(__name__)


def images_among(files: Mapping[str, RawFile]) -> dict[str, RawFile]:
    """Take the files that are images by their name or else by their content; the log lists the others.

    An image that is damaged needs its rows all the same, so that its name is enough; of a note or a list beside the
    images Kaggle knows nothing. Only files with other names are opened here.
    """
    images: dict[str, RawFile] = {}
    others: list[str] = []
    for name, file in files.items():
        if PurePath(name).suffix.lower() in IMAGE_SUFFIXES:
            images[name] = file
            continue
        try:
            reason = "" if is_image(read_plain_file(file)) else "neither a JPEG nor a PNG"
        except SheetError as error:
            reason = str(error)
        if reason:
            others.append(f"{name} ({reason})")
        else:
            images[name] = file
    if others:
        logger.warning(
            "%d of %d files in test_images are no images, neither by name nor by content, and get no rows: %s",
            len(others),
            len(files),
            "; ".join(others),
        )
    return images


def write_submission(
    steps: Steps,
    thresholds: Thresholds,
    image_paths: Mapping[str, RawFile],
    *,
    raw_size: tuple[int, int],
    tensor_shape: tuple[int, int, int],
    batch_size: int,
    device: Device,
) -> pd.DataFrame:
    """Run the cascade on raw files: each step sees only the sheets that the one before let pass.

    Args:
        steps: The models.
        thresholds: Of the whole cascade.
        image_paths: The images by name, as `images_among` takes them.
        raw_size: Height and width of a file, and of the masks.
        tensor_shape: Channels, height and width that the networks see.
        batch_size: Files in memory at once.
        device: Where the networks run.

    Returns:
        ``ImageId_ClassId, EncodedPixels``: K rows an image, in the order of names and classes; empty text where
        there is no mask, and for images that are no usable sheets, which the log lists.

    Raises:
        InputError: A mask does not come back whole when its text is decoded.
    """
    if not image_paths:
        logger.info("There are no sheets without labels (test_images): the submission has a header only.")
        return pd.DataFrame({ID: [], PIXELS: []}, dtype=str)
    from tqdm import tqdm

    names = sorted(image_paths)
    ids = [f"{name}_{number}" for name in names for number in range(1, len(steps.class_names) + 1)]
    texts = dict.fromkeys(ids, "")
    refused: list[str] = []
    for start in tqdm(range(0, len(names), batch_size), desc="submission", unit="batch"):
        accepted, sheets = [], []
        for name in names[start : start + batch_size]:
            try:
                sheets.append(
                    decode_sheet(read_plain_file(image_paths[name]), raw_size, tensor_shape[1:], tensor_shape[0])
                )
                accepted.append(name)
            except SheetError as error:
                refused.append(f"{name} ({error})")
        for position, number, text in _find_masks(steps, thresholds, sheets, raw_size, device):
            texts[f"{accepted[position]}_{number}"] = text
    if refused:
        logger.warning(
            "%d of %d images are no usable sheets and get empty masks: %s", len(refused), len(names), "; ".join(refused)
        )
    found = sum(text != "" for text in texts.values())
    logger.info("Submission of %d images: %d masks, %d empty ones.", len(names), found, len(ids) - found)
    return pd.DataFrame({ID: ids, PIXELS: list(texts.values())}, dtype=str)


def enlarge(probabilities: np.ndarray, minimum_area: int, raw_size: tuple[int, int]) -> np.ndarray:
    """Make the mask of a raw sheet, bool [H, W], from probabilities [h, w] of a tensor's pixels.

    Components of tensor pixels below the minimum area get probability 0. Probabilities are interpolated linearly, so
    that outlines are smooth and not made of the tensor's pixels; then more than a half is in the mask.
    """
    import cv2

    found = (probabilities > HALF).astype(np.uint8)
    dropped = found != drop_small(found[None], [minimum_area])[0]
    height, width = raw_size
    kept = np.where(dropped, 0, probabilities).astype(np.float32)
    enlarged = cv2.resize(kept, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.asarray(enlarged > HALF)


def encode_mask(mask: np.ndarray, name: str) -> str:
    """Write a mask as run-length text, and decode it again.

    Raises:
        InputError: What comes back is another mask.
    """
    text = encode_rle(mask)
    try:
        same = np.array_equal(decode_rle(text, *mask.shape), mask)
    except RleError:
        same = False
    if not same:
        raise InputError(f"submission: the mask of {name} does not come back from its run-length text; report this")
    return text


def check_submission(
    table: pd.DataFrame, image_names: Sequence[str], n_classes: int, raw_size: tuple[int, int]
) -> None:
    """Check a submission as Kaggle would read it: every image and class once, in order, with a legal mask.

    Raises:
        InputError: It names the first row that is wrong.
    """
    expected = [f"{name}_{number}" for name in sorted(image_names) for number in range(1, n_classes + 1)]
    if list(table.columns) != [ID, PIXELS] or table[ID].tolist() != expected:
        raise InputError(f"submission: expected the columns {ID}, {PIXELS} and {len(expected)} rows in order of images")
    for name, text in zip(table[ID], table[PIXELS], strict=True):
        try:
            mask = decode_rle(text, *raw_size)
        except (RleError, AttributeError) as error:
            raise InputError(f"submission: row {name} has no legal mask ({error})") from error
        if encode_rle(mask) != text:
            raise InputError(f"submission: the runs of row {name} are not in order, or not as long as they can be")


def _find_masks(
    steps: Steps, thresholds: Thresholds, decoded: Sequence[np.ndarray], raw_size: tuple[int, int], device: Device
) -> Iterator[tuple[int, int, str]]:
    """Yield position, class number and text of every mask that a few sheets [C, h, w] have."""
    if not decoded:
        return
    sheets = np.stack(decoded)
    how: dict[str, Any] = {"batch_size": len(sheets), "device": device}
    passed = np.flatnonzero(thresholds.passes(defect_probability(steps.gate, sheets, np.arange(len(sheets)), **how)))
    labels = class_probabilities(steps.labels, sheets, passed, steps.class_names, **how)
    runs = thresholds.runs(np.ones(len(passed)), labels)
    for number, minimum_area in enumerate(thresholds.minimum_areas, start=1):
        rows = passed[runs[:, number - 1]]
        for found in mask_probabilities(steps.unets[number], number, sheets, rows, **how):
            for position, probabilities in zip(rows, found, strict=True):
                mask = enlarge(probabilities, minimum_area, raw_size)
                if mask.any():
                    yield int(position), number, encode_mask(mask, f"class {number}")
