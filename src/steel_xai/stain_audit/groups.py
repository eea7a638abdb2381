"""Two groups of defect-free test sheets that differ in a binary attribute, and pairs of them of like brightness."""

from collections.abc import Collection

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.errors import InputError
from steel_xai.localisation import near_black_edge, sheet_region
from steel_xai.parameters import StainDetectionParameters
from steel_xai.sheets.grey import grey_levels
from steel_xai.stain_audit.stains import widened
from steel_xai.white_stains import detect_white_stains

WHITE_STAIN, BLACK_EDGE = "white_stain", "black_edge"
"""Attributes that need no list: a column of the sheet index, and whether the picture contains the black end."""

_LIST = "The list of attributes"
_HALO = 2
"""Tensor pixels around a stain that are no longer chalk and not yet steel."""


def read_attribute_list(table: pd.DataFrame, known_ids: Collection[str]) -> "pd.Series[int]":
    """Read a user's table ``image_id, attribute`` of sheets with (1) and without (0) an attribute.

    Sheets that are not listed belong to neither group.

    Returns:
        0 or 1, indexed by image_id, once an image.

    Raises:
        InputError: A column is missing, a value is neither 0 nor 1, a sheet does not exist, or has both values.
    """
    for column in ("image_id", "attribute"):
        if column not in table.columns:
            raise InputError(f"{_LIST} has the columns {','.join(table.columns)}; it needs image_id,attribute")
    values = pd.to_numeric(table["attribute"], errors="coerce")
    wrong = ~values.isin([0, 1]).to_numpy()
    if wrong.any():
        # Lines are counted as an editor does: the header is line 1.
        first = int(np.flatnonzero(wrong)[0])
        raise InputError(
            f"{_LIST} says '{table['attribute'].iloc[first]}' in line {first + 2}"
            f"{f' and {wrong.sum() - 1} other values' if wrong.sum() > 1 else ''} that are neither 0 (without) nor 1 "
            "(with); correct or remove these rows"
        )
    unknown = sorted(set(table["image_id"]) - set(known_ids), key=str)
    if unknown:
        raise InputError(
            f"{_LIST} names {len(unknown)} sheets that are not in the data: {_some(unknown)}; "
            "correct or remove these rows"
        )
    listed = pd.DataFrame({"image_id": table["image_id"], "attribute": values.astype(int)}).drop_duplicates()
    torn = sorted(listed.loc[listed["image_id"].duplicated(), "image_id"], key=str)
    if torn:
        raise InputError(f"{_LIST} gives {len(torn)} sheets both 0 and 1: {_some(torn)}; keep one row of each")
    return listed.set_index("image_id")["attribute"]


def defect_free_sheets(
    predictions: pd.DataFrame,
    sheet_index: pd.DataFrame,
    sheets: NDArray[np.uint8],
    *,
    attribute: str,
    listed: pd.DataFrame | None,
    output: int,
    seed: int,
) -> pd.DataFrame:
    """Collect the defect-free test sheets, with and without the attribute, in random order.

    Of near-duplicate frames of one strip only one is taken, because tests ask for independent sheets.

    Args:
        predictions: ``row, image_id, split, label, p_0 .. p_{K-1}``; label 0 is "no defect".
        sheet_index: ``row, image_id, duplicate_group`` and 0/1 columns.
        sheets: uint8 [N, C, h, w], of which the black edge is looked for.
        attribute: ``black_edge``, or a 0/1 column of the sheet index; not looked at with a list.
        listed: A user's table ``image_id, attribute`` instead.
        output: Whose probability is wanted.
        seed: Of the order.

    Returns:
        ``row, image_id, attributed`` (bool), ``probability`` of the output, ``log_odds`` as `output_log_odds`.

    Raises:
        InputError: The index has no such column, or the list cannot be read.
    """
    found = predictions[(predictions["split"] == "test") & (predictions["label"] == 0)]
    found = found.assign(probability=found[f"p_{output}"], log_odds=output_log_odds(found, output))
    about = sheet_index.set_index("row").loc[found["row"]].reset_index()
    if listed is not None:
        marks = found["image_id"].map(read_attribute_list(listed, set(sheet_index["image_id"]))).to_numpy(float)
    elif attribute == BLACK_EDGE:
        marks = np.array([has_black_edge(sheets[row]) for row in found["row"]], dtype=float)
    elif attribute in sheet_index.columns:
        marks = about[attribute].to_numpy(float)
    else:
        raise InputError(
            f"stain_audit: there is no attribute '{attribute}': it is neither {BLACK_EDGE} nor a column of sheet_index "
            f"({', '.join(sheet_index.columns)}); choose one of these, or give a list of image_id,attribute"
        )
    found = found.assign(attributed=marks == 1, strip=about["duplicate_group"].to_numpy())[np.isfinite(marks)]
    shuffled = found.sample(frac=1, random_state=np.random.default_rng(seed)).drop_duplicates("strip")
    return shuffled[["row", "image_id", "attributed", "probability", "log_odds"]].reset_index(drop=True)


def draw_groups(found: pd.DataFrame, *, per_group: int) -> pd.DataFrame:
    """Take at most ``per_group`` sheets with and without the attribute, the first of each in a random order."""
    return found.groupby("attributed", sort=False).head(per_group).reset_index(drop=True)


def match_brightness(
    with_attribute: NDArray[np.floating], without: NDArray[np.floating], *, caliper: float
) -> NDArray[np.int64]:
    """Pair each value of one group with one of the other that differs by at most ``caliper``, none taken twice.

    Of all such pairings it is one with the most pairs, and of these one with the least sum of differences.

    Args:
        with_attribute: Brightness [n]; nan is never paired.
        without: Brightness [m].
        caliper: In the unit of the values.

    Returns:
        Positions in both groups, [pairs, 2].
    """
    from scipy.optimize import linear_sum_assignment

    distance = np.abs(np.subtract.outer(with_attribute, without))
    allowed = distance <= caliper
    # One forbidden pair costs more than all allowed pairs together.
    cost = np.where(allowed, distance, 1 + caliper * (1 + min(distance.shape)))
    pairs = np.stack(linear_sum_assignment(cost), axis=1)
    return np.asarray(pairs[allowed[pairs[:, 0], pairs[:, 1]]], dtype=np.int64)


def output_log_odds(predictions: pd.DataFrame, output: int) -> NDArray[np.float64]:
    """Compute the log-odds of an output against all others, [N], natural logarithms.

    The others' probabilities enter by themselves, so that sheets are told apart where the output's has become 1 in
    single precision.
    """
    smallest = float(np.finfo(np.float32).tiny)
    probabilities = predictions.filter(regex=r"^p_\d+$").to_numpy(float)
    others = np.delete(probabilities, output, axis=1).sum(axis=1)
    return np.asarray(np.log(np.maximum(probabilities[:, output], smallest)) - np.log(np.maximum(others, smallest)))


def has_black_edge(sheet: NDArray[np.uint8]) -> bool:
    """Tell whether a sheet [C, h, w] shows where the steel ends and black begins."""
    return bool(near_black_edge(grey_levels(sheet)[None], 1).any())


def steel_brightness(
    sheets: NDArray[np.uint8], rows: NDArray[np.integer], parameters: StainDetectionParameters
) -> NDArray[np.float64]:
    """Compute the mean grey level of chosen sheets' steel, outside of white stains and of the black end.

    Args:
        sheets: uint8 [N, C, h, w].
        rows: Of the n sheets.
        parameters: Of the stain detector.

    Returns:
        0..255, [n]; nan where no steel is seen.
    """
    brightness = np.full(len(rows), np.nan)
    for i, row in enumerate(rows):
        sheet = np.asarray(sheets[row])
        stain = detect_white_stains(sheet[None], parameters)[0]
        grey = grey_levels(sheet)
        steel = sheet_region(grey[None])[0] & ~widened(stain, _HALO)
        if steel.any():
            brightness[i] = grey[steel].mean()
    return brightness


def _some(names: list[str]) -> str:
    return ", ".join(map(str, names[:5])) + (", ..." if len(names) > 5 else "")
