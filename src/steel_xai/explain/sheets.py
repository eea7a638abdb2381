"""Explanations of many files, a chunk at a time: a killed run goes on, memory does not grow with pictures.

Files are read by the process that was asked, also where the workers of a cluster explain them: they need not see the
same folders, and which chunks an earlier run has finished is told by the files' content, which has to be read anyway.
"""

import hashlib
import json
import logging
import shutil
from collections.abc import Iterator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch

from steel_xai.device import keep_freed_memory, select_device
from steel_xai.explain.analysis import Explainer, explain_batch
from steel_xai.explain.files import ImageFile
from steel_xai.explain.pictures import encode, shown_size
from steel_xai.explain.records import Card, Row, card, columns, explained_row, refused_row
from steel_xai.fingerprint import fingerprint
from steel_xai.locks import exclusive
from steel_xai.one_step import replacing
from steel_xai.plain_file import one_line
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file
from steel_xai.sheets.grey import grey_levels
from steel_xai.sheets.parallel import map_batches, runs_elsewhere

CHUNK = 16
"""Files whose explanations are computed between two writes."""

logger = logging.getLogger(__name__)


def explain_files(
    files: Sequence[ImageFile],
    explainer: Explainer,
    sheets: np.ndarray,
    *,
    raw_size: tuple[int, int],
    folder: Path,
) -> tuple[pd.DataFrame, list[Card]]:
    """Explain files; those that are no usable sheets are listed with their reasons.

    A finished chunk is kept in ``folder`` under the content of its files and all that its explanations depend on, and
    is removed when the last is done.

    Args:
        files: In the order of the table.
        explainer: The model and its settings.
        sheets: uint8 [N, C, h, w], for the pictures of the nearest.
        raw_size: Height and width that a file must have.
        folder: For the chunks.

    Returns:
        The table, see ``records.columns``, and the cards that the page shows, most important first: as ``records.card``
        says, with ``row``, their row of the table, and ``nearest``, pictures of the nearest sheets.

    Raises:
        InputError: Another run works in the folder.
    """
    outputs = explainer.classifier.description.outputs
    with exclusive(folder):
        finished = _chunk_folder(folder, fingerprint(explainer.key, list(raw_size)))
        chunks: list[Path] = []
        rows: list[Row] = []
        # What goes to other processes must not be tied to a device that they may lack.
        sent = explainer.on(torch.device("cpu")) if runs_elsewhere() else explainer
        results = map_batches(
            partial(_explain, explainer=sent, shape=sheets.shape[1:], raw_size=raw_size),
            len(files),
            n_jobs=None,
            batch_size=CHUNK,
            description="explanations",
            unit="sheet",
            take=lambda part: _take(files[part], finished),
        )
        with closing(results):
            for _, (path, made) in results:
                if made is not None:
                    _write_chunk(path, made)
                content = made or json.loads(path.read_text(encoding="utf-8"))
                rows += [row for row, _ in content]
                chunks.append(path)
        table = pd.DataFrame(rows, columns=columns(len(outputs)))
        cards = list(_cards(table, chunks, sheets, explainer.parameters.max_cards))
        shutil.rmtree(finished)
    refused = int((table["status"] == "refused").sum())
    logger.info("Sheets explained: %d, files refused: %d", len(table) - refused, refused)
    return table, cards


def order_of_importance(table: pd.DataFrame) -> np.ndarray:
    """Put explained sheets in order: with warnings, then "I don't know", then by rising confidence; positions."""
    explained = table[table["status"] == "explained"]
    keys = pd.DataFrame({"calm": explained["warnings"] == "", "answered": explained["answered"].astype(bool)}).assign(
        confidence=explained["confidence"].astype(float)
    )
    return np.asarray(keys.sort_values(["calm", "answered", "confidence"], kind="stable").index)


class _Chunk(NamedTuple):
    """A few files: what was read of each, or why nothing could be, and where their explanations are kept.

    Nothing was read if an earlier run has made these.
    """

    path: Path
    files: Sequence[ImageFile]
    data: Sequence[bytes | str]
    digests: Sequence[str]


_Content = list[tuple[Row, Card | None]]


def _take(files: Sequence[ImageFile], finished: Path) -> _Chunk:
    data = [_read(file) for file in files]
    digests = [hashlib.blake2b(item, digest_size=16).hexdigest() if isinstance(item, bytes) else item for item in data]
    path = (
        finished / f"{fingerprint([(*map(str, file), found) for file, found in zip(files, digests, strict=True)])}.json"
    )
    return _Chunk(path, [], [], []) if _is_finished(path, len(files)) else _Chunk(path, files, data, digests)


def _is_finished(path: Path, n_files: int) -> bool:
    """Tell whether an earlier run has left a chunk; one that cannot be read counts as missing, with a warning."""
    if not path.exists():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(content, list) or len(content) != n_files:
            raise ValueError("it is of other files")
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("The explanations %s are damaged (%s): they are made anew.", path, one_line(error))
        return False
    return True


def _write_chunk(path: Path, content: _Content) -> None:
    with replacing(path) as part:
        part.write_text(json.dumps(content, allow_nan=False), encoding="utf-8")


def _explain(
    chunk: _Chunk, *, explainer: Explainer, shape: tuple[int, ...], raw_size: tuple[int, int]
) -> tuple[Path, _Content | None]:
    """Explain a chunk's files, wherever the call runs; None where that is done."""
    path, files, data, digests = chunk
    if not files:
        return path, None
    here = select_device(explainer.device_choice)
    keep_freed_memory(here)
    explainer = explainer.on(here)
    outputs, reference = explainer.classifier.description.outputs, explainer.reference
    content: _Content = [({}, None)] * len(files)
    accepted, tensors, pictures = [], [], []
    for i, (file, item) in enumerate(zip(files, data, strict=True)):
        try:
            tensor, picture = _decode(item, raw_size, shape)
        except SheetError as error:
            content[i] = refused_row(file, str(error)), None
            continue
        accepted.append(i)
        tensors.append(tensor)
        pictures.append(picture)
    if accepted:
        seeds = [_seed(explainer.classifier.description.seed, digests[i]) for i in accepted]
        found = explain_batch(explainer, np.stack(tensors), seeds)
        for i, explanation, picture in zip(accepted, found, pictures, strict=True):
            row = explained_row(files[i], explanation, reference, outputs, raw_size)
            content[i] = row, card(explanation, picture, reference)
    return path, content


def _read(file: ImageFile) -> bytes | str:
    """Read a file, or say why it cannot be read."""
    try:
        return read_plain_file(file.path)
    except SheetError as error:
        return str(error)


def _decode(item: bytes | str, raw_size: tuple[int, int], shape: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Decode a file to the tensor [C, h, w] and to the grey picture that is shown."""
    if isinstance(item, str):
        raise SheetError(item)
    channels, height, width = shape
    shown = decode_sheet(item, raw_size, shown_size(raw_size, (height, width)), channels)
    return decode_sheet(item, raw_size, (height, width), channels), grey_levels(shown)


def _seed(seed: int, digest: str) -> int:
    """Derive the seed of a sheet's explanation from its content."""
    return int(np.random.SeedSequence([seed, int(digest, 16)]).generate_state(1)[0])


def _cards(table: pd.DataFrame, chunks: Sequence[Path], sheets: np.ndarray, n: int) -> Iterator[Card]:
    """Read the cards of the most important sheets."""
    chosen = order_of_importance(table)[:n]
    found: dict[int, Any] = {}
    for number in np.unique(chosen // CHUNK):
        content = json.loads(chunks[number].read_text(encoding="utf-8"))
        found |= {i: content[i % CHUNK] for i in chosen if i // CHUNK == number}
    for i in chosen:
        row, shown = found[i]
        nearest = [encode(grey_levels(np.asarray(sheets[neighbour]))) for neighbour in shown["neighbours"]]
        yield {**shown, "row": row, "nearest": nearest}


def _chunk_folder(folder: Path, key: str) -> Path:
    """Make the folder of this run's chunks and remove those of other settings, which nothing will ask for again."""
    finished = folder / f"chunks-{key}"
    for other in folder.glob("chunks-*"):
        if other != finished:
            shutil.rmtree(other)
    finished.mkdir(exist_ok=True)
    return finished
