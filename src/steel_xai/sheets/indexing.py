"""The index of accepted sheets: which carry white stains, and which are near-duplicates of each other."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from steel_xai.parameters import ProcessingParameters
from steel_xai.sheets.duplicates import duplicate_groups
from steel_xai.white_stains import has_white_stain, read_stain_list


def index_sheets(
    sheets: NDArray[np.uint8],
    accepted: pd.DataFrame,
    quarantine: pd.DataFrame,
    stained_sheets: pd.DataFrame | None,
    parameters: ProcessingParameters,
) -> pd.DataFrame:
    """Add ``white_stain`` (0/1) and ``duplicate_group`` to the accepted sheets.

    Args:
        sheets: uint8 [N, C, h, w].
        accepted: One row a sheet, in their order.
        quarantine: The refused ones, which a user's list may name.
        stained_sheets: A user's own list, which replaces the detector.
        parameters: Of detector and near-duplicates.
    """
    workers = {"n_jobs": parameters.n_jobs, "batch_size": parameters.batch_size}
    if stained_sheets is None:
        stained = has_white_stain(sheets, parameters.white_stains, **workers)
    else:
        listed = read_stain_list(stained_sheets, {*accepted["image_id"], *quarantine["image_id"]})
        stained = accepted["image_id"].isin(listed).to_numpy()
    return accepted.assign(
        white_stain=stained.astype(int), duplicate_group=duplicate_groups(sheets, parameters.duplicates, **workers)
    )
