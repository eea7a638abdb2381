"""How well predicted labels of pixels match the true ones: counts by sheet and class, and scores of the counts."""

import numpy as np
import pandas as pd

from steel_xai.segmentation.masks import component_areas


def count_pixels(predicted: np.ndarray, truth: np.ndarray, rows: np.ndarray, n_outputs: int) -> pd.DataFrame:
    """Count what is there, what was found, and how scattered that is.

    Args:
        predicted: Labels uint8 [n, h, w], 0 the background.
        truth: Labels uint8 [n, h, w].
        rows: Of the sheets, int [n].
        n_outputs: M, the background and the classes.

    Returns:
        One row a sheet and output, sheet by sheet: ``row, class`` (0..M-1), ``true, found, both`` in pixels, ``dice,
        iou`` as `dice` and `iou` compute them, and of what was found the number of 8-connected ``components`` and of
        ``isolated`` pixels, whose eight neighbours all have another label; both 0 for the background.
    """
    records = []
    for row, found_labels, true_labels in zip(rows, predicted, truth, strict=True):
        for number in range(n_outputs):
            found, true = found_labels == number, true_labels == number
            areas = component_areas(found)[1][1:] if number and found.any() else np.zeros(0)
            counts = (int(true.sum()), int(found.sum()), int((true & found).sum()))
            records.append((int(row), number, *counts, len(areas), int((areas == 1).sum())))
    table = pd.DataFrame(records, columns=["row", "class", "true", "found", "both", "components", "isolated"])
    table.insert(5, "dice", dice(table["both"], table["found"], table["true"]))
    table.insert(6, "iou", iou(table["both"], table["found"], table["true"]))
    return table


def dice(both: pd.Series, found: pd.Series, true: pd.Series) -> np.ndarray:
    """Compute the exact Dice coefficient ``2 |X and Y| / (|X| + |Y|)`` of counts; 1 where both are empty, as Kaggle."""
    total = (found + true).to_numpy()
    return np.where(total > 0, 2 * both.to_numpy() / np.maximum(total, 1), 1.0)


def iou(both: pd.Series, found: pd.Series, true: pd.Series) -> np.ndarray:
    """Compute intersection over union of counts; 1 where both are empty."""
    either = (found + true - both).to_numpy()
    return np.where(either > 0, both.to_numpy() / np.maximum(either, 1), 1.0)


def by_class(table: pd.DataFrame, column: str, *, only_true: bool = False) -> np.ndarray:
    """Lay out a column of the classes' counts as [n, K]; with ``only_true`` NaN where the sheet lacks the class."""
    classes = table[table["class"] > 0]
    values = classes[column].to_numpy(float)
    if only_true:
        values = np.where(classes["true"].to_numpy() > 0, values, np.nan)
    laid_out: np.ndarray = values.reshape(classes["row"].nunique(), -1)
    return laid_out


def sheet_means(values: np.ndarray) -> np.ndarray:
    """Average the defined values of each sheet over its classes, [n, K] to [n]; NaN where none is defined."""
    defined = np.isfinite(values)
    count = defined.sum(axis=1)
    return np.where(count > 0, np.where(defined, values, 0).sum(axis=1) / np.maximum(count, 1), np.nan)


def class_counts(table: pd.DataFrame, n_classes: int) -> np.ndarray:
    """Count the sheets by their number of classes: rows actual 0..K, columns predicted 0..K."""
    actual, predicted = ((by_class(table, column) > 0).sum(axis=1) for column in ("true", "found"))
    matrix = np.zeros((n_classes + 1, n_classes + 1), np.int64)
    np.add.at(matrix, (actual, predicted), 1)
    return matrix
