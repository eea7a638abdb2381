"""Whether an exported model says on test sheets what the network says in PyTorch."""

import logging
import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pandas as pd
import torch

from steel_xai.batches import normalise
from steel_xai.errors import InputError
from steel_xai.export import INPUT, OUTPUTS, RawSheetClassifier
from steel_xai.raw_files import RawFile
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file

TOLERANCE = 1e-4
"""Largest difference between ONNX Runtime and PyTorch: of probabilities, and of logits relative to the largest one."""
CHECKED_SHEETS = 16

_ERRORS_ONLY = 3  # of ONNX Runtime's levels

Judge = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From raw sheets uint8 [n, C, H, W] to probabilities and logits [n, K]."""

logger = logging.getLogger(__name__)


def check_export(
    content: bytes,
    module: RawSheetClassifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    raw_sheets: Mapping[str, RawFile],
    *,
    raw_size: tuple[int, int],
    data_source: str,
    seed: int,
) -> dict[str, Any]:
    """Compare the file in ONNX Runtime with PyTorch on test sheets, from raw files.

    Args:
        content: Of the ONNX file.
        module: The same computation in PyTorch.
        sheets: uint8 [N, C, h, w] as stored: JPEGs among them were decoded at reduced scale.
        split: Of whose test sheets ``CHECKED_SHEETS`` are drawn.
        raw_sheets: Image name -> file.
        raw_size: Height and width of the files in pixels.
        data_source: Written into the record.
        seed: Of the draw.

    Returns:
        A JSON-able record: the ``largest_difference`` of ``probabilities`` and of ``logits`` (relative to the largest
        logit, if that is above 1), that of ``pixels`` between the area averages and OpenCV's in grey levels, the
        number of sheets ``n``, median ``seconds_per_sheet`` of sheets judged one by one in either, on the CPU with as
        many threads as each takes by default, and under ``stored_sheets`` how the file's answers for raw files differ
        from the network's for the sheets as stored.

    Raises:
        InputError: A difference is above ``TOLERANCE`` (pixels: one grey level), or no test sheet can be read.
    """
    rows, raw = _read_test_sheets(split, raw_sheets, raw_size, sheets.shape[1], np.random.default_rng(seed))
    judges = {"onnxruntime": _onnx_judge(content), "torch": _torch_judge(module)}
    judged = {name: _judge_one_by_one(judge, raw) for name, judge in judges.items()}
    (probabilities, logits, _), (expected, expected_logits, _) = judged.values()
    stored = sheets[rows]
    reduced = module.shrink(torch.from_numpy(raw)).numpy()
    of_stored = torch.softmax(_logits_of(module, stored) / module.temperature, dim=1).numpy()
    differences = {
        "probabilities": _largest(probabilities, expected),
        "logits": _largest(logits, expected_logits) / max(1.0, float(np.abs(expected_logits).max())),
        "pixels": _largest(reduced, _area_averages(raw, stored.shape[2:])),
    }
    _refuse_difference(differences)
    seconds_per_sheet = {name: seconds for name, (_, _, seconds) in judged.items()}
    logger.info(
        "ONNX Runtime and PyTorch differ by at most %.1g in the probabilities of %d test sheets; %.0f ms a sheet "
        "against %.0f ms.",
        differences["probabilities"],
        len(rows),
        *(1000 * seconds for seconds in seconds_per_sheet.values()),
    )
    return {
        "data_source": data_source,
        "n": len(rows),
        "largest_difference": differences,
        "tolerance": TOLERANCE,
        "stored_sheets": {
            "largest_difference_of_probabilities": _largest(probabilities, of_stored),
            "mean_difference_of_probabilities": float(np.abs(probabilities - of_stored).mean()),
            "largest_difference_of_pixels": _largest(reduced, stored),
            "n_same_prediction": int((probabilities.argmax(axis=1) == of_stored.argmax(axis=1)).sum()),
        },
        "seconds_per_sheet": seconds_per_sheet,
        "versions": {name: version(name) for name in ("onnx", "onnxruntime", "torch")},
    }


def _read_test_sheets(
    split: pd.DataFrame,
    raw_sheets: Mapping[str, RawFile],
    raw_size: tuple[int, int],
    channels: int,
    rng: np.random.Generator,
) -> tuple[np.ndarray, np.ndarray]:
    """Decode some test sheets in full: their rows [n], and uint8 [n, C, H, W]."""
    test = split[split["split"] == "test"]
    rows, sheets = [], []
    for position in rng.permutation(len(test)):
        row, name = test.iloc[position][["row", "image_id"]]
        try:
            sheets.append(decode_sheet(read_plain_file(raw_sheets[name]), raw_size, raw_size, channels))
        except (KeyError, SheetError):
            continue
        rows.append(int(row))
        if len(rows) == CHECKED_SHEETS:
            break
    if not rows:
        raise InputError(
            f"None of the {len(test)} test sheets is among the raw files, so that the export cannot be checked; "
            "put the images back, or make the data anew with `kedro run --pipeline=data_processing`"
        )
    return np.array(rows), np.stack(sheets)


def _onnx_judge(content: bytes) -> Judge:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = _ERRORS_ONLY
    session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])

    def judge(sheets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, logits = session.run(list(OUTPUTS[:2]), {INPUT: sheets})
        return probabilities, logits

    return judge


def _torch_judge(module: RawSheetClassifier) -> Judge:
    @torch.inference_mode()
    def judge(sheets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        probabilities, logits, _ = module(torch.from_numpy(sheets))
        return probabilities.numpy(), logits.numpy()

    return judge


def _judge_one_by_one(judge: Judge, sheets: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """Judge sheets as a line brings them; probabilities and logits [n, K], median seconds a sheet."""
    judge(sheets[:1])
    results, seconds = [], []
    for sheet in sheets:
        start = time.perf_counter()
        results.append(judge(sheet[None]))
        seconds.append(time.perf_counter() - start)
    probabilities, logits = (np.concatenate(parts) for parts in zip(*results, strict=True))
    return probabilities, logits, float(np.median(seconds))


@torch.inference_mode()
def _logits_of(module: RawSheetClassifier, sheets: np.ndarray) -> torch.Tensor:
    """Give the logits of sheets that have the tensor's size."""
    logits: torch.Tensor = module.network(normalise(torch.from_numpy(sheets)))
    return logits


def _area_averages(sheets: np.ndarray, size: tuple[int, ...]) -> np.ndarray:
    """Reduce sheets [n, C, H, W] as processing does."""
    import cv2

    height, width = size
    if sheets.shape[2:] == (height, width):
        return sheets
    reduced = [
        [cv2.resize(channel, (width, height), interpolation=cv2.INTER_AREA) for channel in sheet] for sheet in sheets
    ]
    return np.array(reduced)


def _largest(values: np.ndarray, expected: np.ndarray) -> float:
    return float(np.abs(values.astype(float) - expected.astype(float)).max())


def _refuse_difference(differences: Mapping[str, float]) -> None:
    limits = {"probabilities": TOLERANCE, "logits": TOLERANCE, "pixels": 1.0}
    # Written so that NaN is refused as well.
    too_large = [name for name, limit in limits.items() if not differences[name] <= limit]
    if too_large:
        found = ", ".join(f"{name} by {differences[name]:.2g} (allowed {limits[name]:g})" for name in too_large)
        raise InputError(
            f"The exported model is not written, because ONNX Runtime and PyTorch differ in {found}; other versions of "
            "onnxruntime and torch may agree, or choose another training.architecture"
        )
