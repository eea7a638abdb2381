"""Logistic regression on pixels: what any network has to leave behind."""

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from tqdm import tqdm

from steel_xai.batches import Examples
from steel_xai.objectives import label_bits
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
    train, test = Examples.of(split, "train"), Examples.of(split, "test")
    pixels, (test_pixels,) = _standardised(sheets, train, [test], parameters.size)
    model = _fit(pixels, train.labels, parameters, seed)
    probabilities = np.zeros((len(test), n_classes))
    probabilities[:, model.classes_] = model.predict_proba(test_pixels)
    return probabilities


def baseline_of_every_class(
    sheets: np.ndarray, split: pd.DataFrame, parameters: BaselineParameters, seed: int, n_classes: int
) -> np.ndarray:
    """Train a logistic regression for each class against the sheets without it, as `baseline_probabilities` does.

    Args:
        sheets: uint8 [N, C, h, w]; may be memory-mapped.
        split: The columns ``row, label, split, flip_h, flip_v``; a label is a bit field of classes.
        parameters: Size of the reduced sheets, candidates of C (the inverse strength), number of folds.
        seed: Of the folds.
        n_classes: Number of classes K. One that all training sheets have or none gets probability 1 or 0.

    Returns:
        Probabilities [n_validation + n_test, K] of the validation sheets, then of the test sheets, in the split's
        order.
    """
    train, *held_out = (Examples.of(split, name) for name in ("train", "validation", "test"))
    pixels, others = _standardised(sheets, train, held_out, parameters.size)
    unseen = np.concatenate(others)
    present = label_bits(train.labels, n_classes)
    probabilities = np.empty((len(unseen), n_classes))
    for k, is_class in enumerate(present.T):
        if is_class.all() or not is_class.any():
            probabilities[:, k] = is_class[0]
        else:
            probabilities[:, k] = _fit(pixels, is_class.astype(int), parameters, seed).predict_proba(unseen)[:, 1]
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


def _standardised(
    sheets: np.ndarray, train: Examples, others: Sequence[Examples], size: Size
) -> tuple[np.ndarray, list[np.ndarray]]:
    """Reduce the sheets of all examples and standardise each pixel over the training examples."""
    from sklearn.preprocessing import StandardScaler

    scaler = StandardScaler()
    pixels = scaler.fit_transform(reduced_pixels(sheets, train, size))
    return pixels, [scaler.transform(reduced_pixels(sheets, part, size)) for part in others]


def _fit(pixels: np.ndarray, labels: np.ndarray, parameters: BaselineParameters, seed: int) -> Any:
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.metrics import get_scorer
    from sklearn.model_selection import GridSearchCV, StratifiedKFold

    candidates = parameters.inverse_regularisation
    model = LogisticRegression(C=min(candidates), max_iter=_MAX_ITERATIONS)
    folds = min(parameters.folds, int(np.unique(labels, return_counts=True)[1].min()))
    bar = tqdm(total=folds * len(candidates), disable=folds < 2, desc="baseline", unit="fit")
    scorer = get_scorer("neg_log_loss")

    def score(*fitted_and_data: Any) -> float:
        bar.update()
        return float(scorer(*fitted_and_data))

    if folds >= 2:
        model = GridSearchCV(
            model,
            {"C": candidates},
            scoring=score,
            cv=StratifiedKFold(folds, shuffle=True, random_state=seed),
        )
    with bar, warnings.catch_warnings():
        # A weak penalty can use up the iterations; such a fit is as good as one stopped early, and rarely chosen.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(pixels, labels)
