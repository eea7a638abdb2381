"""What a mill asks of a classifier: how many defects are missed at a bearable rate of false alarms, and which ones.

A sheet's defect score is 1 - p_0, in whatever task; it is reported when the score reaches a threshold chosen on the
validation sheets. Defective is every sheet with a label of 1 or more.
"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pandas as pd

from steel_xai.errors import InputError
from steel_xai.intervals import bootstrap, exact_interval, or_none, percentile_interval

SIZE_BINS = 3


def choose_alarm_threshold(labels: np.ndarray, scores: np.ndarray, false_alarm_rate: float) -> float | None:
    """Find the lowest threshold at which at most a given share of the defect-free sheets is reported.

    Args:
        labels: 0 for a defect-free sheet, else 1 or more, [n].
        scores: A sheet is reported when its score is at least the threshold, [n], 0..1.
        false_alarm_rate: Share of the defect-free sheets that may be reported, 0..1.

    Returns:
        A threshold just above the score of the first defect-free sheet that must not be reported, so that it may pass
        1; None without a defect-free sheet.
    """
    defect_free = np.sort(scores[labels == 0].astype(np.float64))[::-1]
    if not len(defect_free):
        return None
    # Compared as a rate: n * rate falls just short of a whole number where 0.29 * 100 is 28.999...
    shares = np.arange(1, len(defect_free) + 1) / len(defect_free)
    allowed = int(np.count_nonzero(shares <= false_alarm_rate))
    return 0.0 if allowed == len(defect_free) else float(np.nextafter(defect_free[allowed], np.inf))


def measure_detection(
    predictions: pd.DataFrame,
    index: pd.DataFrame,
    *,
    false_alarm_rate: float,
    class_names: Sequence[str],
    raw_size: tuple[int, int],
    n_samples: int,
    seed: int,
) -> dict[str, Any]:
    """Measure on the test sheets what is reported at the threshold chosen on the validation sheets.

    Intervals are 95 %. Those of shares of sheets are exact (Clopper and Pearson 1934), because shares near 0 or 1 of a
    few sheets, which a bootstrap calls certain, are the rule here. That of the missed share on the ROC curve, whose
    threshold depends on the sheets as well, comes from resampling them (Efron 1979). Both take the sheets for
    independent, which near-duplicate frames of one strip are not quite.

    Without a defect-free validation sheet there is no threshold: the rates are None, and the recalls count the sheets
    whose most probable output is a defect.

    Args:
        predictions: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``.
        index: The ``sheet_index``: ``row, image_id, label_1 .., area_1 ..``.
        false_alarm_rate: Share of defect-free sheets that may be reported.
        class_names: The defect classes, in order.
        raw_size: Height and width in pixels of the sheets that the areas are measured on.
        n_samples: Resamples of the test sheets.
        seed: Of the resampling.

    Returns:
        A JSON-able record. ``target_false_alarm_rate``; ``threshold`` of the score; ``n_validation_defect_free``, the
        sheets that it rests on; ``n_defect_free`` and ``n_defective`` test sheets; their ``false_alarm_rate`` and
        ``missed_defect_rate`` at the threshold; ``missed_defect_rate_at_target``, that at exactly the target on the
        test sheets' own ROC curve, which differs by what the threshold loses on its way from validation to test; each
        with its ``.._interval``. ``recall_by_class``, one row a class of the index, whatever the task's own labels: a
        sheet of several classes counts for each. ``recall_by_size``, see `recall_by_size`; None without areas.
        ``notes`` say what could not be measured and why.

    Raises:
        InputError: The predictions are of other sheets than the index.
    """
    validation, test = (predictions[predictions["split"] == name] for name in ("validation", "test"))
    threshold = choose_alarm_threshold(validation["label"].to_numpy(), _scores(validation), false_alarm_rate)
    labels, scores = test["label"].to_numpy(), _scores(test)
    reported = test["predicted"].to_numpy() != 0 if threshold is None else scores >= threshold
    defective = labels > 0
    rows = _index_rows(index, test)
    areas = _areas(rows[defective])
    record: dict[str, Any] = {
        "target_false_alarm_rate": false_alarm_rate,
        "threshold": threshold,
        "n_validation_defect_free": int((validation["label"] == 0).sum()),
        "n_defect_free": int((~defective).sum()),
        "n_defective": int(defective.sum()),
    }
    rates = {
        "false_alarm_rate": _share(reported[~defective]),
        "missed_defect_rate": _share(~reported[defective]),
        "missed_defect_rate_at_target": _missed_at_target(labels, scores, false_alarm_rate, n_samples, seed),
    }
    for name, (rate, interval) in rates.items():
        record[name] = None if threshold is None else rate
        record[f"{name}_interval"] = [None, None] if threshold is None else interval
    record["recall_by_class"] = list(_recall_by_class(rows, reported, class_names))
    record["recall_by_size"] = None if areas is None else recall_by_size(areas, reported[defective], raw_size)
    record["notes"] = list(_notes(record))
    return record


def recall_by_size(areas: np.ndarray, reported: np.ndarray, raw_size: tuple[int, int]) -> list[dict[str, Any]]:
    """Measure recall in three bins of the defect area that hold about a third of the sheets each.

    Equal areas share a bin, so that a bin may be empty where many are equal.

    Args:
        areas: Raw pixels under the masks of each defective sheet, added up over the classes, [n].
        reported: Whether the sheet was reported, [n].
        raw_size: Height and width of a sheet in pixels.

    Returns:
        From small to large: ``size``, ``area_from`` and ``area_to`` in raw pixels (the bin excludes its lower edge but
        for the first, and includes the upper), ``share_from`` and ``share_to`` of the sheet, ``n``, ``detected``,
        ``recall`` and its ``recall_interval``. No row without sheets.
    """
    if not len(areas):
        return []
    ordered = np.sort(areas)
    # Whole numbers instead of quantiles: every edge is the area of a sheet, and no rounding moves a third.
    upper = [int(ordered[-(-len(ordered) * third // SIZE_BINS) - 1]) for third in range(1, SIZE_BINS + 1)]
    lower = [int(ordered[0]), *upper[:-1]]
    bins = np.searchsorted(upper, areas, side="left")
    n_pixels = raw_size[0] * raw_size[1]
    return [
        {
            "size": size,
            "area_from": lower[k],
            "area_to": upper[k],
            "share_from": lower[k] / n_pixels,
            "share_to": upper[k] / n_pixels,
            **_recall(reported[bins == k]),
        }
        for k, size in enumerate(("small", "medium", "large"))
    ]


def _recall_by_class(rows: pd.DataFrame, reported: np.ndarray, class_names: Sequence[str]) -> Iterator[dict[str, Any]]:
    for k, name in enumerate(class_names, start=1):
        yield {"class": k, "name": name, **_recall(reported[rows[f"label_{k}"].to_numpy() > 0])}


def _recall(reported: np.ndarray) -> dict[str, Any]:
    recall, interval = _share(reported)
    return {"n": len(reported), "detected": int(reported.sum()), "recall": recall, "recall_interval": interval}


def _share(hits: np.ndarray) -> tuple[float | None, list[float | None]]:
    """Give the share of hits [n] and its exact interval; None without any."""
    low, high = exact_interval(int(hits.sum()), len(hits))
    return float(hits.mean()) if len(hits) else None, [or_none(float(low)), or_none(float(high))]


def missed_on_roc(labels: np.ndarray, scores: np.ndarray, false_alarm_rate: float) -> float:
    """Read the missed share of the defective sheets off the ROC curve, at a share of false alarms in 0..1.

    Where the curve rises at that share its upper end counts; between its points it is straight (Fawcett 2006).

    Returns:
        The share, 0..1; NaN without a defect-free or without a defective sheet.
    """
    defect_free, defective = np.sort(scores[labels == 0]), np.sort(scores[labels > 0])
    if not len(defect_free) or not len(defective):
        return math.nan
    thresholds = np.unique(scores)[::-1]
    false = np.r_[0, len(defect_free) - np.searchsorted(defect_free, thresholds)] / len(defect_free)
    missed = np.r_[len(defective), np.searchsorted(defective, thresholds)] / len(defective)
    last = int(np.flatnonzero(false <= false_alarm_rate)[-1])
    if last + 1 == len(false):
        return 0.0
    way = (false_alarm_rate - false[last]) / (false[last + 1] - false[last])
    return float((1 - way) * missed[last] + way * missed[last + 1])


def _missed_at_target(
    labels: np.ndarray, scores: np.ndarray, false_alarm_rate: float, n_samples: int, seed: int
) -> tuple[float | None, list[float | None]]:
    rate = missed_on_roc(labels, scores, false_alarm_rate)
    if math.isnan(rate):
        return None, [None, None]

    def missed(weights: np.ndarray) -> np.ndarray:
        resamples = (np.repeat(np.arange(len(labels)), times) for times in weights.astype(np.int64))
        return np.array([missed_on_roc(labels[rows], scores[rows], false_alarm_rate) for rows in resamples])

    return rate, percentile_interval(bootstrap(missed, len(labels), n_samples, seed))


def _scores(predictions: pd.DataFrame) -> np.ndarray:
    scores: np.ndarray = 1 - predictions["p_0"].to_numpy(np.float64)
    return scores


def _index_rows(index: pd.DataFrame, test: pd.DataFrame) -> pd.DataFrame:
    """Look up the predicted sheets in the index, in the order of the predictions."""
    rows = index.set_index("row").reindex(test["row"])
    if rows["image_id"].tolist() != test["image_id"].tolist():
        raise InputError(
            "the predictions are of other sheets than the sheet index lists; predict anew, or pin versions that belong "
            "together with --load-versions"
        )
    return rows.reset_index()


def _areas(rows: pd.DataFrame) -> np.ndarray | None:
    """Add up the areas over the classes, [n]; None where labels come without masks."""
    areas = rows.filter(regex=r"^area_\d+$")
    return None if areas.isna().any(axis=None) else areas.sum(axis=1).to_numpy(np.int64)


def _notes(record: dict[str, Any]) -> Iterator[str]:
    if record["threshold"] is None:
        yield (
            "no defect-free validation sheet: no threshold for a false-alarm rate can be chosen; recall counts the "
            "sheets whose most probable output is a defect"
        )
    if not record["n_defect_free"]:
        yield "no defect-free test sheet: false alarms cannot be measured"
    if not record["n_defective"]:
        yield "no defective test sheet: missed defects cannot be measured"
    if record["recall_by_size"] is None:
        yield "the labels come without masks: recall by size cannot be measured"
