"""Test sheets to show, chosen by rule."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from steel_xai.interpretation.maps import grey_sheets
from steel_xai.parameters.segmentation import SegmentationParameters
from steel_xai.segmentation.losses import pixel_labels
from steel_xai.segmentation.segmenter import Segmenter, predict_labels
from steel_xai.segmentation.summary import dice_of_sheets


class Examples(NamedTuple):
    """Rows of test sheets, what each is, by whose Dice they were chosen, and among how many."""

    rows: np.ndarray
    captions: list[str]
    network: str
    n: int


def choose_examples(counts: pd.DataFrame, n: int) -> Examples:
    """Choose the n best, n median and n worst defective test sheets of the network that is best on validation sheets.

    By Dice without filter, as the masks are shown.

    Args:
        counts: Of all networks, as ``evaluation.measure_networks`` returns them.
        n: Of each; fewer where there are not so many sheets.
    """
    by_network = dict(list(counts.groupby("network", sort=False)))
    best = max(by_network, key=lambda name: dice_of_sheets(by_network[name], "validation").mean())
    dice = dice_of_sheets(by_network[best], "test").dropna().sort_values(ascending=False, kind="stable")
    middle = max(0, (len(dice) - n) // 2)
    places = {"best": range(n), "median": range(middle, middle + n), "worst": range(len(dice) - n, len(dice))}
    names = counts.drop_duplicates("row").set_index("row")["image_id"]
    rows: list[int] = []
    captions = []
    for kind, of_kind in places.items():
        for place in of_kind:
            if 0 <= place < len(dice) and dice.index[place] not in rows:
                rows.append(dice.index[place])
                captions.append(f"{kind}: Dice {dice.iloc[place]:.2f} · {names[rows[-1]]}")
    return Examples(np.array(rows), captions, best, len(dice))


def predict_examples(
    networks: Mapping[str, Segmenter],
    rows: np.ndarray,
    sheets: np.ndarray,
    masks: np.ndarray,
    parameters: SegmentationParameters,
) -> tuple[np.ndarray, np.ndarray, dict[str, np.ndarray]]:
    """Predict sheets by every network, without filter.

    Returns:
        Grey sheets uint8 [n, h, w], true labels uint8 [n, h, w], and predicted ones of each network.
    """
    classes = next(iter(networks.values())).description.classes
    predicted = {
        name: predict_labels(network, sheets, rows, batch_size=parameters.batch_size, device=parameters.training.device)
        for name, network in networks.items()
    }
    return grey_sheets(sheets, rows), pixel_labels(masks[rows], classes), predicted
