"""Raw sheets with their masks, in full size and one at a time."""

import logging
from collections.abc import Iterator, Mapping

import numpy as np
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.raw_files import RawFile
from steel_xai.sheets.annotations import Annotations
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file
from steel_xai.sheets.rle import draw_runs

logger = logging.getLogger(__name__)


def read_raw_sheets(
    image_paths: Mapping[str, RawFile], annotations: Annotations, raw_size: tuple[int, int], class_count: int
) -> Iterator[tuple[NDArray[np.uint8], NDArray[np.uint8]]]:
    """Yield grey sheet ``[H, W]`` and masks ``[K, H, W]`` of 0/1 for every usable sheet, in the order of the names.

    Unusable sheets are counted in the log; ``data_processing`` lists them with their reasons.

    Raises:
        InputError: The annotations have no masks, or no sheet can be used.
    """
    from tqdm import tqdm

    if not annotations.has_masks:
        raise InputError("statistics of defects need masks; train.csv has the form image_id,label, which has none")
    read = 0
    for name, path in tqdm(sorted(image_paths.items()), desc="raw sheets", unit="sheet"):
        if name in annotations.refused:
            continue
        try:
            grey = decode_sheet(read_plain_file(path), raw_size, raw_size, channels=1)[0]
        except SheetError:
            continue
        masks = np.zeros((class_count, *raw_size), dtype=np.uint8)
        for label, runs in annotations.runs.get(name, {}).items():
            masks[label - 1] = draw_runs(runs, *raw_size)
        read += 1
        yield grey, masks
    if not read:
        raise InputError("no sheet can be used; `kedro run --pipeline=data_processing` tells why, sheet by sheet")
    logger.info("%d raw sheets read, %d left out as unusable", read, len(image_paths) - read)
