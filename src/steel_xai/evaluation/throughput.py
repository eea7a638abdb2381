"""How many sheets a second a classifier judges, from the image file to the prediction."""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from steel_xai.batches import normalise
from steel_xai.classifier import Classifier
from steel_xai.device import autocast, place, select_device
from steel_xai.raw_files import RawFile
from steel_xai.sheets.decoding import SheetError, decode_sheet, read_plain_file
from steel_xai.sheets.parallel import map_batches


def sheets_per_second(
    classifier: Classifier,
    image_paths: Mapping[str, RawFile],
    *,
    raw_size: tuple[int, int],
    n_sheets: int,
    batch_size: int,
    device: Literal["auto", "cpu", "cuda"],
) -> dict[str, Any]:
    """Time the prediction of image files end to end: read, decode, normalise, network, softmax.

    Threads on all cores decode the next batches while the network judges the last one. A batch beforehand warms
    everything up; its files, and all others that were read lately, come from the system's cache.

    Args:
        classifier: Says the size and channels of its tensors.
        image_paths: Image name -> file; the first by name are taken, each once.
        raw_size: Expected height and width of the files in pixels.
        n_sheets: Files to read; fewer if there are fewer.
        batch_size: Sheets in a batch of the network.
        device: Where the network runs.

    Returns:
        A JSON-able record: ``sheets_per_second``, None if no file can be read; ``n_sheets`` judged in ``seconds``, and
        ``n_unreadable`` more files that were tried; ``batch_size``; ``device``; ``decoding_threads`` and
        ``network_threads`` on the CPU.
    """
    import joblib

    target = select_device(device)
    network = place(classifier.network, target).eval()
    about = classifier.description
    paths = [image_paths[name] for name in sorted(image_paths)[:n_sheets]]

    def decode(path: RawFile) -> NDArray[np.uint8] | None:
        try:
            return decode_sheet(read_plain_file(path), raw_size, about.tensor_size, about.n_channels)
        except SheetError:
            return None

    _judge(paths[:batch_size], decode, network, batch_size, target)
    start = time.perf_counter()
    judged = _judge(paths, decode, network, batch_size, target)
    seconds = time.perf_counter() - start
    return {
        "sheets_per_second": judged / seconds if judged else None,
        "n_sheets": judged,
        "n_unreadable": len(paths) - judged,
        "seconds": seconds,
        "batch_size": batch_size,
        "device": target.type,
        "decoding_threads": joblib.cpu_count(),
        "network_threads": torch.get_num_threads(),
    }


def _judge(
    paths: Sequence[RawFile],
    decode: Callable[[RawFile], NDArray[np.uint8] | None],
    network: nn.Module,
    batch_size: int,
    device: torch.device,
) -> int:
    """Predict files; the number of those that can be read."""

    def decode_rows(rows: slice) -> list[NDArray[np.uint8]]:
        return [sheet for sheet in map(decode, paths[rows]) if sheet is not None]

    judged = 0
    batches = map_batches(
        decode_rows,
        len(paths),
        n_jobs=-1,
        batch_size=batch_size,
        description="throughput",
        unit="sheet",
    )
    with closing(batches), torch.inference_mode(), autocast(device):
        for _, sheets in batches:
            if sheets:
                logits = network(normalise(torch.from_numpy(np.stack(sheets)).to(device)))
                judged += len(torch.softmax(logits.float(), dim=1).cpu())
    return judged
