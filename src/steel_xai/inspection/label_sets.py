"""What the view into inner layers needs of a classifier of several classes a sheet: which sheets, which layers."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from torch import nn

from steel_xai.errors import InputError

_EARLY_LAYERS = ["layer1", "layer2"]
"""Those that the AIcrowd notebook of 2022 looks into; all ResNets of torchvision have them."""


def early_layers(network: nn.Module) -> list[str] | None:
    """Name a ResNet's layer1 and layer2; None of any other network."""
    names = {name for name, _ in network.named_children()}
    return list(_EARLY_LAYERS) if names.issuperset(_EARLY_LAYERS) else None


def choose_sheets_of_sets(predictions: pd.DataFrame, rows: Sequence[int], n_sheets: int, seed: int) -> pd.DataFrame:
    """Draw defective test sheets, one of each set of classes in turn, sets of fewer classes first.

    Args:
        predictions: As ``evaluation.label_sets.predict_sets`` makes them.
        rows: Of the sheets to draw from, see ``maps.shown_rows``.
        n_sheets: How many; as many as there are where fewer are found.
        seed: Of the draw.

    Returns:
        ``row, image_id, label, predicted``; the last two are bit fields of classes.

    Raises:
        InputError: There is none.
    """
    fields = predictions[["row", "image_id"]].assign(
        label=_pack(predictions, "label"), predicted=_pack(predictions, "predicted")
    )
    found = fields[(predictions["split"] == "test") & (fields["label"] > 0) & fields["row"].isin(rows)]
    if found.empty:
        raise InputError(
            "multilabel.inner_layers: no test sheet has a defect and a mask (a defect alone, where labels come "
            "without masks), so that there is none to explain; give more sheets"
        )
    drawn = found.sample(frac=1, random_state=np.random.default_rng(seed))
    n_classes = drawn["label"].map(int.bit_count)
    ordered = drawn.assign(turn=drawn.groupby("label").cumcount(), n_classes=n_classes)
    ordered = ordered.sort_values(["turn", "n_classes", "label"], kind="stable")
    return ordered[["row", "image_id", "label", "predicted"]].head(n_sheets).reset_index(drop=True)


def _pack(predictions: pd.DataFrame, name: str) -> np.ndarray:
    """Pack a column for each class into bit fields [n]."""
    bits = predictions.filter(regex=rf"^{name}_\d+$").to_numpy()
    return np.asarray(bits @ (1 << np.arange(bits.shape[1])))
