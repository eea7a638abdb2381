"""What a trained network says about sheets, and how long it takes."""

import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
import pandas as pd
import torch
from torch import nn

from steel_xai.batches import Examples, load_batch, normalise
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, keep_freed_memory, place, select_device
from steel_xai.memory import BatchSize, in_batches
from steel_xai.sheets.parallel import map_batches, runs_elsewhere

_BATCHES_IN_CHUNK = 4
"""That a worker of a cluster gets at a time, with the network."""
_TIMED_BATCH = 5
_WARM_UP_RUNS = 3


def predict(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
) -> pd.DataFrame:
    """Predict the validation and test sheets of a split.

    Returns:
        One row a sheet, in the split's order: ``row, image_id, split, label, predicted, p_0 .. p_{K-1}``, where
        ``p_k`` is the softmax probability of output k and ``predicted`` the most probable output.
    """
    parts = []
    for name in ("validation", "test"):
        examples = Examples.of(split, name)
        logits = map_logits(classifier.network, sheets, examples, batch_size=batch_size, device=device)
        table = split.loc[split["split"] == name, ["row", "image_id", "split", "label"]].reset_index(drop=True)
        parts.append(prediction_table(table, probabilities(logits, "softmax").cpu().numpy()))
    return pd.concat(parts, ignore_index=True)


def prediction_table(table: pd.DataFrame, probabilities: np.ndarray) -> pd.DataFrame:
    """Append ``predicted`` and ``p_0 .. p_{K-1}`` to a table with one row a sheet."""
    columns = {f"p_{k}": probabilities[:, k] for k in range(probabilities.shape[1])}
    return table.assign(predicted=probabilities.argmax(axis=1), **columns)


def predict_every_class(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    *,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
) -> np.ndarray:
    """Predict the validation sheets of a split, then its test sheets, by a classifier of several classes a sheet.

    Returns:
        Sigmoid probabilities of the K classes, float32 [n_validation + n_test, K], in the split's order.
    """
    held_out = [Examples.of(split, name) for name in ("validation", "test")]
    logits = [map_logits(classifier.network, sheets, part, batch_size=batch_size, device=device) for part in held_out]
    return probabilities(torch.cat(logits), "sigmoid").cpu().numpy()


def probabilities(logits: torch.Tensor, activation: Literal["softmax", "sigmoid"]) -> torch.Tensor:
    """Turn logits [..., K] into probabilities: of classes that exclude each other, or of each class by itself."""
    return torch.softmax(logits, dim=-1) if activation == "softmax" else torch.sigmoid(logits)


def map_logits(
    network: nn.Module,
    sheets: np.ndarray,
    examples: Examples,
    *,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
) -> torch.Tensor:
    """Compute the logits [n, K] of examples, float32, here or on the workers of a cluster, each on its own device.

    Batches have the same sheets in both cases, so that logits differ by rounding at most.

    Raises:
        InputError: As ``evaluate_logits`` does.
    """
    target = select_device(device)
    if not (len(examples) and runs_elsewhere()):
        return evaluate_logits(place(network, target), sheets, examples, batch_size=batch_size, device=target)

    def take(part: slice) -> tuple[np.ndarray, Examples]:
        chosen = examples.take(np.arange(part.start, part.stop))
        return np.array(sheets[chosen.rows]), replace(chosen, rows=np.arange(len(chosen)))

    # What goes to the workers must not be tied to a device that they may lack.
    chunks = map_batches(
        partial(_logits_of_chunk, network=place(network, torch.device("cpu")), batch_size=batch_size, device=device),
        len(examples),
        n_jobs=None,
        batch_size=_BATCHES_IN_CHUNK * batch_size,
        description="predictions",
        unit="sheet",
        take=take,
    )
    with closing(chunks):
        return torch.from_numpy(np.concatenate([logits for _, logits in chunks])).to(target)


def _logits_of_chunk(
    chunk: tuple[np.ndarray, Examples],
    *,
    network: nn.Module,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
) -> np.ndarray:
    """Compute the logits of sheets uint8 [n, C, h, w], wherever the call runs."""
    sheets, examples = chunk
    here = select_device(device)
    return evaluate_logits(place(network, here), sheets, examples, batch_size=batch_size, device=here).cpu().numpy()


def evaluate_logits(
    network: nn.Module, sheets: np.ndarray, examples: Examples, *, batch_size: int, device: torch.device
) -> torch.Tensor:
    """Compute the logits [n, K] of examples in evaluation mode, float32 on the device.

    Raises:
        InputError: Not even one sheet fits into the device's memory.
    """
    keep_freed_memory(device)
    network.eval()

    def judge(part: slice) -> torch.Tensor:
        batch = load_batch(sheets, examples.take(np.arange(part.start, part.stop)), device)
        logits: torch.Tensor = network(batch).float()
        return logits

    with torch.inference_mode(), autocast(device):
        batch_sizes = BatchSize(batch_size, "evaluation.batch_size")
        return torch.cat([logits for _, logits in in_batches(judge, len(examples), batch_sizes)])


def milliseconds_per_batch(
    classifier: Classifier, sheets: np.ndarray, *, repeats: int, device: Literal["auto", "cpu", "cuda"]
) -> float:
    """Time the prediction of a batch of 5 sheets held in memory: the median of ``repeats`` runs, in milliseconds.

    The study's tables time the same. Fewer sheets than 5 are repeated.
    """
    target = select_device(device)
    network = place(classifier.network, target).eval()
    rows = np.resize(np.arange(len(sheets)), _TIMED_BATCH)
    batch = normalise(torch.from_numpy(sheets[rows]).to(target))
    seconds = []
    with torch.inference_mode(), autocast(target):
        for _ in range(_WARM_UP_RUNS + repeats):
            start = time.perf_counter()
            network(batch)
            if target.type == "cuda":
                torch.cuda.synchronize(target)
            seconds.append(time.perf_counter() - start)
    return float(np.median(seconds[_WARM_UP_RUNS:]) * 1000)
