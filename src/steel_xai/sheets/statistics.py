"""Statistics of the sheets of a source: background, black ends, masks, and how much the trivial maps give away."""

from collections import defaultdict
from collections.abc import Iterable

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.localisation import (
    dice,
    local_contrast,
    median_deviation,
    pixel_average_precision,
    sheet_region,
    threshold_mask,
)

Values = dict[tuple[str, str], list[float]]

RING = 15
"""Width in raw pixels of the surroundings that a mask's interior is compared with."""
END = 40
"""Rows or columns that count as the sheet's top, bottom, left or right end, and half of those in its middle."""


def sheet_statistics(
    sheets: Iterable[tuple[NDArray[np.uint8], NDArray[np.uint8]]],
    class_names: list[str],
    tensor_size: tuple[int, int],
) -> pd.DataFrame:
    """Describe a source in numbers that can be compared with another source's.

    Args:
        sheets: Pairs of raw greyscale ``[H, W]`` and raw masks ``[K, H, W]`` (non-zero is defect), read one at a time.
        class_names: Names of the K classes.
        tensor_size: Height and width at which the trivial maps are scored.

    Returns:
        Table with columns ``statistic``, ``class`` (a class name, ``none``, ``several`` or ``all``), ``value`` and
        ``n``, the number of sheets or components behind the value. Grey levels are 0 to 255, sizes raw pixels, shares
        and scores 0 to 1. Brightness and noise are of sheet pixels only; left, right, top and bottom are the outermost
        40 pixels. Offsets are interior minus the ring of 15 pixels around it. Maps are scored per sheet, then averaged.
    """
    values: Values = defaultdict(list)
    n = 0
    for grey, masks in sheets:
        present = np.asarray(masks.any(axis=(1, 2)))
        n += 1
        _count(values, present, class_names)
        region = sheet_region(grey[None])[0]
        _describe_background(values, grey, region)
        for name, mask in zip(class_names, masks, strict=True):
            if mask.any():
                _describe_mask(values, name, grey, mask, region)
        if present.any():
            values["mask_share", "all"].append(float(masks.any(axis=0).mean()))
            _score_maps(values, class_names, grey, masks, tensor_size)
    return _summarise(values, n, class_names)


def _count(values: Values, present: NDArray[np.bool_], class_names: list[str]) -> None:
    names = [name for name, here in zip(class_names, present, strict=True) if here]
    key = "none" if not names else names[0] if len(names) == 1 else "several"
    values["sheets", key].append(1)


def _describe_background(values: Values, grey: NDArray[np.uint8], region: NDArray[np.bool_]) -> None:
    shown = region[0]
    if not shown.any():
        return
    columns = np.flatnonzero(shown)
    first, last = int(columns[0]), int(columns[-1]) + 1
    sheet = grey[:, first:last].astype(np.float32)
    height, width = sheet.shape
    middle_x, middle_y = (slice(max(size // 2 - END, 0), size // 2 + END) for size in (width, height))
    measured = {
        "grey_mean": sheet.mean(),
        "grey_sd": sheet.std(),
        "grey_p1": np.percentile(sheet, 1),
        "grey_p99": np.percentile(sheet, 99),
        "grey_top": sheet[:END].mean(),
        "grey_middle_rows": sheet[middle_y].mean(),
        "grey_bottom": sheet[-END:].mean(),
        "adjacent_difference_sd_across": np.diff(sheet, axis=1).std() if width > 1 else np.nan,
        "adjacent_difference_sd_along": np.diff(sheet, axis=0).std(),
        "black_left": float(first > 0),
        "black_right": float(last < grey.shape[1]),
    }
    if first == 0 and last == grey.shape[1]:
        measured |= {
            "grey_left": sheet[:, :END].mean(),
            "grey_middle_columns": sheet[:, middle_x].mean(),
            "grey_right": sheet[:, -END:].mean(),
        }
    for statistic, value in measured.items():
        values[statistic, "all"].append(float(value))
    if first > 0 or last < grey.shape[1]:
        values["black_share", "all"].append(1 - width / grey.shape[1])


def _describe_mask(
    values: Values, name: str, grey: NDArray[np.uint8], mask: NDArray[np.uint8], region: NDArray[np.bool_]
) -> None:
    import cv2

    binary = (mask != 0).astype(np.uint8)
    values["mask_share", name].append(float(binary.mean()))
    values["mask_area", name].append(float(binary.sum()))
    count, _, boxes, _ = cv2.connectedComponentsWithStats(binary, connectivity=8)
    values["components", name].append(float(count - 1))
    for box in boxes[1:]:
        values["component_width", name].append(float(box[cv2.CC_STAT_WIDTH]))
        values["component_height", name].append(float(box[cv2.CC_STAT_HEIGHT]))
        values["component_centre_x", name].append(float(box[cv2.CC_STAT_LEFT] + box[cv2.CC_STAT_WIDTH] / 2))

    widened = cv2.dilate(binary, np.ones((2 * RING + 1, 2 * RING + 1), dtype=np.uint8))
    inside, ring = grey[(binary == 1) & region], grey[(widened == 1) & (binary == 0) & region]
    if inside.size and ring.size:
        surroundings = float(ring.mean())
        values["offset_mean", name].append(float(inside.mean()) - surroundings)
        values["offset_p5", name].append(float(np.percentile(inside, 5)) - surroundings)
        values["offset_p95", name].append(float(np.percentile(inside, 95)) - surroundings)


def _score_maps(
    values: Values,
    class_names: list[str],
    grey: NDArray[np.uint8],
    masks: NDArray[np.uint8],
    tensor_size: tuple[int, int],
) -> None:
    import cv2

    def reduce(image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        return np.asarray(cv2.resize(image, tensor_size[::-1], interpolation=cv2.INTER_AREA), dtype=np.uint8)

    small = reduce(grey)[None]
    # A pixel of the small mask is on where at least half of its area is.
    by_class = np.stack([reduce((mask != 0).astype(np.uint8) * 255) >= 128 for mask in masks])
    truths = {name: mask[None] for name, mask in zip(class_names, by_class, strict=True) if mask.any()}
    truths["all"] = np.logical_or.reduce(by_class)[None]
    if not truths["all"].any():
        return
    for map_name, maps in (("median_deviation", median_deviation(small)), ("local_contrast", local_contrast(small))):
        found = threshold_mask(maps, 2)
        for name, truth in truths.items():
            values[f"{map_name}_pixel_ap", name].append(float(pixel_average_precision(maps, truth)[0]))
            values[f"{map_name}_dice", name].append(float(dice(found, truth)[0]))


def _summarise(values: Values, n: int, class_names: list[str]) -> pd.DataFrame:
    spread = {"mask_area", "component_width", "component_height", "component_centre_x"}
    rows: list[tuple[str, str, float, int]] = []
    for (statistic, name), measured in values.items():
        if statistic == "sheets":
            rows.append((statistic, name, len(measured), n))
        elif statistic in spread:
            rows += [(f"{statistic}_p{p}", name, float(np.percentile(measured, p)), len(measured)) for p in (5, 50, 95)]
        else:
            rows.append((statistic, name, float(np.mean(measured)), len(measured)))
            if statistic == "components":
                rows.append(("components_max", name, float(np.max(measured)), len(measured)))
    rows.append(("sheets", "all", n, n))
    table = pd.DataFrame(rows, columns=["statistic", "class", "value", "n"])
    order = {name: i for i, name in enumerate(["all", "none", *class_names, "several"])}
    first_seen = {statistic: i for i, statistic in enumerate(dict.fromkeys(table["statistic"]))}
    rank = table["statistic"].map(first_seen) * (len(order) + 1) + table["class"].map(order)
    return table.iloc[rank.argsort(kind="stable")].reset_index(drop=True)
