"""Stored maps read again, with the sheets and masks that belong to them."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from steel_xai import localisation
from steel_xai.attribution.convention import evidence
from steel_xai.sheets.grey import grey_levels

GALLERY_SHEETS = 4


def load_maps(maps: np.ndarray, index: pd.DataFrame, name: str, split: str) -> tuple[np.ndarray, pd.DataFrame]:
    """Read the signed maps float32 [n, h, w] of a method or control for the sheets of a split, and their index."""
    part = index[(index["name"] == name) & (index["split"] == split)]
    values = np.asarray(maps[part["map"].to_numpy()], np.float32)
    return values * part["scale"].to_numpy(np.float32)[:, None, None], part.reset_index(drop=True)


def masked_rows(masks: np.ndarray) -> list[int]:
    """List the rows of masks [N, h, w] that are not empty; none where labels come without masks."""
    return [row for row, mask in enumerate(masks) if mask.any()]


def shown_rows(masks: np.ndarray, n_sheets: int) -> Sequence[int]:
    """List the rows of sheets whose defects can be shown: those with a mask; all where labels come without masks."""
    return masked_rows(masks) if len(masks) else range(n_sheets)


def gallery_sheets(index: pd.DataFrame, methods: Sequence[str]) -> pd.DataFrame:
    """Choose a few test sheets that every method explains, the first of each class in turn; see ``common_sheets``."""
    common = common_sheets(index, methods, "test", None)
    turn = common.groupby("label").cumcount()
    in_turn = common.assign(turn=turn).sort_values(["turn", "label"], kind="stable", ignore_index=True)
    return in_turn.drop(columns="turn")[:GALLERY_SHEETS]


def found_masks(
    maps: np.ndarray,
    index: pd.DataFrame,
    sheets: np.ndarray,
    masks: np.ndarray,
    method: str,
    *,
    k: float,
    sigma: float,
) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Make masks of a method's maps of the test sheets, as they are scored.

    Returns:
        The sheets' rows of the index, grey sheets [n, h, w], true masks bool [n, h, w], evidence [n, h, w] and found
        masks bool [n, h, w].
    """
    values, shown = load_maps(maps, index, method, "test")
    rows, found = shown["row"].to_numpy(), evidence(values, method)
    predicted = localisation.threshold_mask(localisation.smooth(found, sigma), k)
    return shown, grey_sheets(sheets, rows), true_masks(masks, rows, sheets.shape[2:]), found, predicted


def true_masks(masks: np.ndarray, rows: np.ndarray, size: Sequence[int]) -> np.ndarray:
    """Tell where any defect is: bool [n, h, w] of a bit field [N, h, w]; empty where labels come without masks."""
    return np.asarray(masks[rows]) != 0 if len(masks) else np.zeros((len(rows), *size), bool)


def grey_sheets(sheets: np.ndarray, rows: np.ndarray) -> np.ndarray:
    """Read some sheets of uint8 [N, C, h, w] as greyscale [n, h, w]."""
    return grey_levels(np.asarray(sheets[rows]))


def common_sheets(index: pd.DataFrame, methods: Sequence[str], split: str, n: int | None) -> pd.DataFrame:
    """List the first ``n`` sheets of a split that every method explains, all of them if n is None.

    Returns:
        ``row, image_id, label, predicted, target``.
    """
    explained = index[(index["split"] == split) & index["name"].isin(methods)]
    by_method = explained.groupby("row", sort=False)["name"].nunique()
    rows = by_method.index[by_method == len(methods)][:n]
    sheets = explained.drop_duplicates("row").set_index("row").loc[rows].reset_index()
    return sheets[["row", "image_id", "label", "predicted", "target"]]


def maps_of(maps: np.ndarray, index: pd.DataFrame, names: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
    """Read the signed maps float32 [n, h, w] of methods for sheets, in the order of ``rows``."""
    found = {}
    for name in names:
        places = index[index["name"] == name].set_index("row").loc[rows]
        values = np.asarray(maps[places["map"].to_numpy()], np.float32)
        found[name] = values * places["scale"].to_numpy(np.float32)[:, None, None]
    return found
