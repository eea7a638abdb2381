"""Logistic regression on pixels: what any network has to leave behind."""

import warnings
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.batches import Examples
from steel_xai.parameters import BaselineParameters, Size

_MAX_ITERATIONS = 300


def baseline_probabilities(
    sheets: np.ndarray, split: pd.DataFrame, parameters: BaselineParameters, seed: int, n_classes: int
) -> np.ndarray:
    """Train logistic regression on the training sheets and predict the test sheets.

    Sheets are reduced by area averaging and every pixel is standardised over the training sheets. The strength of
    the L2 penalty is the one with the best log-loss in a stratified cross-validation of the training sheets.

    Args:
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        split: The columns ``row, label, split, flip_h, flip_v``. Augmented copies train it like the network.
        parameters: Size of the reduced sheets, candidates of C (the inverse strength), number of folds.
        seed: Of the folds.
        n_classes: Number of columns of the result; a class without training sheets gets probability 0.

    Returns:
        Probabilities [n_test, n_classes], in the split's order.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.preprocessing import StandardScaler

    train, test = Examples.of(split, "train"), Examples.of(split, "test")
    scaler = StandardScaler()
    pixels = scaler.fit_transform(reduced_pixels(sheets, train, parameters.size))
    with warnings.catch_warnings():
        # A weak penalty can use up the iterations; such a fit is as good as one stopped early, and rarely chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model = _fit(pixels, train.labels, parameters, seed)
    probabilities = np.zeros((len(test), n_classes))
    probabilities[:, model.classes_] = model.predict_proba(
        scaler.transform(reduced_pixels(sheets, test, parameters.size))
    )
    return probabilities


def reduced_pixels(sheets: np.ndarray, examples: Examples, size: Size) -> np.ndarray:
    """Reduce each example's sheet to ``size`` (height, width) by area averaging: float32 [n, C x height x width]."""
    import cv2

    reduced = np.empty((len(examples), sheets.shape[1], *size), np.float32)
    for target, row, flip_h, flip_v in zip(reduced, examples.rows, examples.flip_h, examples.flip_v, strict=True):
        for channel, pixels in zip(target, sheets[row], strict=True):
            channel[:] = cv2.resize(pixels.astype(np.float32), size[::-1], interpolation=cv2.INTER_AREA)
        target[:] = target[:, :: -1 if flip_v else 1, :: -1 if flip_h else 1]
    return reduced.reshape(len(examples), -1)


def _fit(pixels: np.ndarray, labels: np.ndarray, parameters: BaselineParameters, seed: int) -> Any:
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    model = LogisticRegression(C=min(parameters.inverse_regularisation), max_iter=_MAX_ITERATIONS)
    folds = min(parameters.folds, int(np.unique(labels, return_counts=True)[1].min()))
    if folds < 2:
        return model.fit(pixels, labels)
    search = GridSearchCV(
        model,
        {"C": parameters.inverse_regularisation},
        scoring="neg_log_loss",
        cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
    )
    return search.fit(pixels, labels)
