"""Explanations of many sheets: computed chunk by chunk, so that a killed run keeps what it had, and kept as one array.

Maps are stored as float16, each divided by its largest absolute value, which the index keeps as ``scale``.
"""

import shutil
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Literal, NoReturn

import numpy as np
import pandas as pd
import torch
from torch import nn
from tqdm import tqdm

from steel_xai.array_file import ArrayFile
from steel_xai.attribution import BATCH_PARAMETER, METHODS, Options, prepare
from steel_xai.attribution.randomisation import randomised
from steel_xai.batches import Examples, load_batch
from steel_xai.classifier import Classifier
from steel_xai.device import batch_size, keep_freed_memory, place, select_device
from steel_xai.errors import InputError
from steel_xai.evaluation.attribution_scores import RANDOM_NETWORK
from steel_xai.fingerprint import fingerprint
from steel_xai.interpretation.chunks import chunk_folder, is_finished, read_maps, write_maps
from steel_xai.locks import exclusive
from steel_xai.memory import BatchSize
from steel_xai.parameters import InterpretationParameters
from steel_xai.parameters.interpretation import AttributionOptions
from steel_xai.sheets.parallel import map_batches, runs_elsewhere
from steel_xai.staging import staging

BACKGROUND = 64
"""Training sheets from which DeepShap draws each image's baselines, so that another seed means other baselines."""


@dataclass(frozen=True)
class _Run:
    """A network and the methods that explain it on some sheets; ``suffix`` tells its maps from those of other runs."""

    network: nn.Module
    suffix: str
    methods: list[str]
    chosen: pd.DataFrame
    options: Options
    baselines: torch.Tensor
    seed: int
    batch: BatchSize

    def to_send(self) -> "_Run":
        """Move to the main memory what workers need, who may lack the device; the baselines are DeepShap's alone."""
        cpu = torch.device("cpu")
        baselines = self.baselines if "deepshap" in self.methods else self.baselines[:0].clone()  # a view sends all
        return replace(self, network=place(self.network, cpu), baselines=baselines.to(cpu))

    def prepare(self, image: torch.Tensor, methods: Sequence[str]) -> "_Explain":
        """Get ready for images of the size of ``image`` on its device."""
        device = image.device
        keep_freed_memory(device)
        explain = prepare(
            place(self.network, device),
            image,
            methods=methods,
            options=self.options,
            baselines=self.baselines.to(device),
            batch=self.batch,
        )

        def explain_part(images: torch.Tensor, part: pd.DataFrame) -> dict[str, np.ndarray]:
            targets = torch.from_numpy(part["target"].to_numpy(np.int64, copy=True)).to(device)
            return explain(images, targets, seeds_of(part["row"], self.seed))

        return explain_part


_Explain = Callable[[torch.Tensor, pd.DataFrame], dict[str, np.ndarray]]
"""From images [n, 3, H, W] and their sheets to maps by method."""


@dataclass(frozen=True)
class _Chunk:
    """Some sheets of a run, and the file of their maps; runs are numbered."""

    number: int
    run: _Run
    part: pd.DataFrame
    path: Path


def choose_sheets(
    predictions: pd.DataFrame, rows: Sequence[int], parameters: InterpretationParameters, seed: int
) -> pd.DataFrame:
    """Draw the defective sheets of the validation and test splits that are explained, in random order.

    Args:
        predictions: ``row, image_id, split, label, predicted, ...``.
        rows: Of the sheets to draw from, see ``maps.shown_rows``.
        parameters: How many of each split, and which class is explained.
        seed: Of the draw.

    Returns:
        ``row, image_id, split, label, predicted, target``; as many as there are where fewer are found. ``target`` is
        the label where a class is asked for by its name, which ``explain_sheets`` finds among the model's outputs.

    Raises:
        InputError: A split has no defective sheet among them.
    """
    parts: list[pd.DataFrame] = []
    for split, n in (("validation", parameters.sheets.validation), ("test", parameters.sheets.test)):
        found = predictions[
            (predictions["split"] == split) & (predictions["label"] > 0) & predictions["row"].isin(rows)
        ]
        if found.empty:
            raise InputError(
                f"interpretation: no {split} sheet has a defect and a mask (a defect alone, where labels come without "
                "masks), so that there is none to explain; give more sheets"
            )
        parts.append(found.sample(n=min(n, len(found)), random_state=np.random.default_rng([seed, len(parts)])))
    chosen = pd.concat(parts, ignore_index=True)[["row", "image_id", "split", "label", "predicted"]]
    return chosen.assign(target=chosen["predicted" if parameters.target == "predicted" else "label"])


def explain_sheets(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    chosen: pd.DataFrame,
    parameters: InterpretationParameters,
    *,
    device: Literal["auto", "cpu", "cuda"],
    folder: Path,
) -> tuple[Path, pd.DataFrame]:
    """Explain chosen sheets by every method, with the trained network and, as controls, with random weights.

    Finished chunks stay in ``folder`` until all are done; the same call goes on behind them. A chunk has as many sheets
    as the network sees at a time.

    Args:
        classifier: The model to explain.
        sheets: uint8 [N, C, h, w].
        split: From whose training sheets DeepShap's baselines are drawn.
        chosen: As ``choose_sheets`` draws them.
        parameters: Of the interpretation.
        device: Where the network runs.
        folder: Holds the chunks and the finished array.

    Returns:
        A staged ``.npy`` file of float16 [M, h, w], and its index: ``map`` (0..M-1), ``name`` (the method, or
        ``<method>_random_network``), ``row, image_id, split, label, predicted, target``, ``scale`` (the map's values
        are those stored times this) and ``ms_per_image`` of the method by itself.

    Raises:
        InputError: A method is not defined for the network, the model has no output of the target's name, or another
            run works in the folder.
    """
    chosen = _aimed(chosen, parameters.target, classifier.description.outputs)
    options = options_on(select_device(device), parameters.options)
    runs = _runs(classifier, sheets, split, chosen, parameters, options, select_device(device))
    key = fingerprint(
        options.batch_size,
        classifier.description.model_dump(mode="json"),
        asdict(options),
        [(run.suffix, run.methods, run.chosen[["row", "target"]].to_numpy().tolist()) for run in runs],
    )
    index: list[pd.DataFrame] = []
    with exclusive(folder), staging(folder) as staged:
        finished = chunk_folder(folder, key)
        with ArrayFile(staged / "maps.npy", np.float16, (sheets.shape[2], sheets.shape[3])) as file:
            chunks = [chunk for number, run in enumerate(runs) for chunk in _chunks(number, run, finished)]
            _explain_missing(chunks, sheets, device)
            for chunk in chunks:
                for method, values, scale, milliseconds in read_maps(chunk.path, chunk.run.methods):
                    file.append(values)
                    name = method + chunk.run.suffix
                    index.append(chunk.part.assign(name=name, scale=scale, ms_per_image=milliseconds))
        shutil.rmtree(finished)
    table = pd.concat(index, ignore_index=True)
    table.insert(0, "map", np.arange(len(table)))
    columns = ["map", "name", "row", "image_id", "split", "label", "predicted", "target", "scale", "ms_per_image"]
    return file.path, table[columns]


def options_on(device: torch.device, parameters: AttributionOptions) -> Options:
    """Take the methods' settings from the parameters, with batches of the size for the device."""
    values = parameters.model_dump()
    cuda = values.pop("cuda_batch_size")
    return Options(**values | {"batch_size": batch_size(device, cpu=parameters.batch_size, cuda=cuda)})


def draw_background(sheets: np.ndarray, split: pd.DataFrame, *, seed: int, device: torch.device) -> torch.Tensor:
    """Draw the training sheets of which DeepShap takes some as each image's baselines.

    Returns:
        Normalised float32 [BACKGROUND, 3, h, w], fewer if there are fewer training sheets.
    """
    train = Examples.of(split[split["copy"] == 0], "train")
    drawn = np.random.default_rng(seed).choice(len(train), min(BACKGROUND, len(train)), replace=False)
    return load_batch(sheets, train.take(np.sort(drawn)), device)


def seeds_of(rows: Iterable[int], seed: int) -> list[int]:
    """Derive the seed of each sheet's explanation from its row, so that it does not depend on the sheets beside it."""
    return [int(np.random.SeedSequence([seed, row]).generate_state(1)[0]) for row in rows]


def load_images(sheets: np.ndarray, rows: np.ndarray, device: torch.device) -> torch.Tensor:
    """Read sheets as they are, without flips: normalised float32 [n, 3, h, w]."""
    unflipped = np.zeros(len(rows), dtype=bool)
    return load_batch(sheets, Examples(rows, np.zeros(len(rows), np.int64), unflipped, unflipped), device)


def _runs(
    classifier: Classifier,
    sheets: np.ndarray,
    split: pd.DataFrame,
    chosen: pd.DataFrame,
    parameters: InterpretationParameters,
    options: Options,
    device: torch.device,
) -> list[_Run]:
    """Plan what explains which sheets: LIME and the random network see fewer, one being slow, the other a control."""
    network, seed = place(classifier.network, device), classifier.description.seed
    baselines = draw_background(sheets, split, seed=seed, device=device)
    quick = [method for method in parameters.methods if METHODS[method].uses_gradients]
    slow = [method for method in parameters.methods if method not in quick]
    first_lime, first_random = (_first(chosen, n) for n in (parameters.sheets.lime, parameters.sheets.random_network))
    plan = [
        (network, "", quick, chosen),
        (network, "", slow, first_lime),
        (randomised(network, seed), RANDOM_NETWORK, quick, first_random),
    ]
    batch = BatchSize(options.batch_size, BATCH_PARAMETER)
    return [
        _Run(used, suffix, methods, part, options, baselines, seed, batch)
        for used, suffix, methods, part in plan
        if methods
    ]


def _aimed(chosen: pd.DataFrame, target: str, outputs: Sequence[str]) -> pd.DataFrame:
    """Explain the named output on all sheets, if the target names one."""
    if target in ("label", "predicted"):
        return chosen
    if target not in outputs:
        raise InputError(
            f"interpretation.target: this model has no output '{target}'; there are {', '.join(outputs)}, besides "
            "label (each sheet's true class) and predicted"
        )
    return chosen.assign(target=list(outputs).index(target))


def _first(chosen: pd.DataFrame, n: int) -> pd.DataFrame:
    return chosen.groupby("split", sort=False).head(n)


def _chunks(number: int, run: _Run, folder: Path) -> list[_Chunk]:
    """Cut a run's sheets into chunks."""
    size = run.options.batch_size
    return [
        _Chunk(number, run, run.chosen.iloc[start : start + size], folder / f"{number}_{start:06}.npz")
        for start in range(0, len(run.chosen), size)
    ]


def _explain_missing(chunks: Sequence[_Chunk], sheets: np.ndarray, device: Literal["auto", "cpu", "cuda"]) -> None:
    """Make the files that an earlier run has not; on a cluster its workers compute the maps, but for timed chunks."""
    missing = [chunk for chunk in chunks if not is_finished(chunk.path, chunk.run.methods)]
    firsts = {chunk.number: chunk for chunk in reversed(missing)}
    times: dict[int, dict[str, float]] = {}
    with tqdm(total=sum(len(first.run.methods) for first in firsts.values()), desc="times", unit="method") as bar:
        for number, first in firsts.items():
            maps, times[number] = _time(first, sheets, select_device(device), bar)
            write_maps(first.path, maps, times[number])
    missing = [chunk for chunk in missing if chunk is not firsts[chunk.number]]

    elsewhere = runs_elsewhere()

    def take(batch: slice) -> tuple[_Run, pd.DataFrame, np.ndarray]:
        chunk = missing[batch.start]
        run = chunk.run.to_send() if elsewhere else chunk.run
        return run, chunk.part, np.array(sheets[chunk.part["row"].to_numpy()])

    results = map_batches(
        partial(_explain_chunk, device=device),
        len(missing),
        n_jobs=None,
        batch_size=1,
        description="explanations",
        unit="chunk",
        take=take,
    )
    with closing(results):
        for batch, maps in results:
            chunk = missing[batch.start]
            write_maps(chunk.path, maps, times[chunk.number])


def _explain_chunk(
    chunk: tuple[_Run, pd.DataFrame, np.ndarray], device: Literal["auto", "cpu", "cuda"]
) -> dict[str, np.ndarray]:
    """Compute the maps of a chunk's sheets, uint8 [n, C, h, w], wherever the call runs."""
    run, part, pixels = chunk
    images = load_images(pixels, np.arange(len(pixels)), select_device(device))
    return run.prepare(images[:1], run.methods)(images, part)


def _time(
    chunk: _Chunk, sheets: np.ndarray, device: torch.device, bar: "tqdm[NoReturn]"
) -> tuple[dict[str, np.ndarray], dict[str, float]]:
    """Compute a chunk's maps method by method, and take the milliseconds an image of each, its preparation left out."""
    run, part = chunk.run, chunk.part
    images = load_images(sheets, part["row"].to_numpy(), device)
    maps: dict[str, np.ndarray] = {}
    milliseconds = {}
    for method in run.methods:
        explain = run.prepare(images[:1], [method])
        if METHODS[method].uses_gradients:  # the others' many passes need no warm-up
            explain(images[:1], part.iloc[:1])
        start = time.perf_counter()
        maps |= explain(images, part)
        milliseconds[method] = 1000 * (time.perf_counter() - start) / len(part)
        bar.update()
    return maps, milliseconds
