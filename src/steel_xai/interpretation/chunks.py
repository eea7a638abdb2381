"""Maps of finished chunks on the disk, from which a run goes on that another one, killed, has begun."""

import logging
import shutil
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from steel_xai.one_step import replacing
from steel_xai.plain_file import one_line

logger = logging.getLogger(__name__)


def chunk_folder(folder: Path, key: str) -> Path:
    """Make the folder of the chunks of this key and remove those of others, which nothing will ask for again."""
    for other in folder.glob("chunks-*"):
        if other.name != f"chunks-{key}":
            shutil.rmtree(other)
    finished = folder / f"chunks-{key}"
    finished.mkdir(exist_ok=True)
    return finished


def write_maps(path: Path, maps: Mapping[str, np.ndarray], milliseconds: Mapping[str, float]) -> None:
    """Write a chunk's maps [n, h, w] by method, and the milliseconds an image of each, in one step."""
    times = {f"{method}.ms": np.array(value) for method, value in milliseconds.items()}
    with replacing(path) as part, part.open("wb") as file:
        np.savez(file, allow_pickle=False, **maps, **times)


def read_maps(path: Path, methods: Sequence[str]) -> Iterator[tuple[str, np.ndarray, np.ndarray, float]]:
    """Yield method, float16 maps of largest absolute value 1, their scales [n], and milliseconds an image."""
    # NumPy leaves a file open that is no whole archive.
    with path.open("rb") as file, np.load(file, allow_pickle=False) as chunk:
        for method in methods:
            values = chunk[method]
            scale = np.abs(values).max(axis=(1, 2))
            shown = values / np.where(scale > 0, scale, 1)[:, None, None]
            yield method, shown.astype(np.float16), scale, float(chunk[f"{method}.ms"])


def is_finished(path: Path, methods: Sequence[str]) -> bool:
    """Tell whether an earlier run has left the maps; a file that cannot be read counts as missing, with a warning."""
    if not path.exists():
        return False
    try:
        for _ in read_maps(path, methods):
            pass
    except Exception as error:  # a damaged archive makes NumPy raise many types
        logger.warning("The maps %s are damaged (%s): they are made anew.", path, one_line(error))
        return False
    return True
