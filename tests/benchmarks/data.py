"""Raw JPEG to tensors: ours, Pillow's decode and resize, and OpenCV's bare decode at reduced scale."""

import os
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image

from steel_xai.config import TaskConfigLoader
from steel_xai.parameters import (
    ProcessingParameters,
    SampleParameters,
)
from steel_xai.sheets.annotations import Annotations
from steel_xai.sheets.decoding import decode_sheet, read_plain_file
from steel_xai.sheets.indexing import index_sheets
from steel_xai.sheets.processing import ProcessedSheets, process_sheets
from steel_xai.sheets.sample import generate_sample

from .start import PROJECT

N_FILES, N_COPIES = 64, 24
RAW_SIZE, TENSOR_SIZE = (256, 1600), (64, 400)
CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _of_the_project(section: str) -> dict[str, object]:
    loader = TaskConfigLoader(str(PROJECT / "conf"), base_env="base", default_run_env="base")
    return dict(loader["parameters"][section])


PARAMETERS = ProcessingParameters.model_validate(_of_the_project("data_processing") | {"n_jobs": CORES})


def write_sheets(folder: Path) -> dict[str, Path]:
    """Generate sheets once, whose files are as hard to decode as real ones; each counts several times."""
    if not folder.exists():
        few = {"n_sheets": N_FILES, "n_unlabelled": 0}
        generate_sample(folder, SampleParameters.model_validate(_of_the_project("sample") | few))
    files = sorted((folder / "train_images").iterdir())
    return {f"{copy}_{path.name}": path for copy in range(N_COPIES) for path in files}


def process(paths: dict[str, Path], folder: Path) -> ProcessedSheets:
    """Our way from files to tensors: checks, decoding, masks, quarantine, staged files."""
    nothing = Annotations(classes={}, runs={}, refused={}, has_masks=True)
    return process_sheets(
        paths,
        nothing,
        raw_size=RAW_SIZE,
        tensor_size=TENSOR_SIZE,
        channels=1,
        class_count=4,
        parameters=PARAMETERS,
        folder=folder,
    )


def process_and_index(paths: dict[str, Path], folder: Path) -> pd.DataFrame:
    """The whole stage: the same, and which sheets carry white stains or are near-duplicates of each other."""
    done = process(paths, folder)
    return index_sheets(np.load(done.sheets, mmap_mode="r"), done.index, done.quarantine, None, PARAMETERS)


def ways(folder: Path) -> list[Callable[[], object]]:
    """Ours, the peer and the floor, each on all sheets with all cores.

    The peer is what a torchvision data set does: decode as RGB, resize.
    """
    paths = write_sheets(folder)

    def peer(path: Path) -> np.ndarray:
        with Image.open(path) as image:
            return np.asarray(image.convert("RGB").resize(TENSOR_SIZE[::-1], Image.Resampling.BILINEAR))

    def floor(path: Path) -> np.ndarray:
        data = np.frombuffer(path.read_bytes(), np.uint8)
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_REDUCED_GRAYSCALE_4))

    def on_all_cores(decode: Callable[[Path], np.ndarray]) -> None:
        with ThreadPoolExecutor(CORES) as pool:
            for _ in pool.map(decode, paths.values()):
                pass

    return [lambda: process(paths, folder.parent), lambda: on_all_cores(peer), lambda: on_all_cores(floor)]


def parts(folder: Path) -> Mapping[str, Callable[[], object]]:
    """Take our way apart, each part on all sheets with all cores."""
    paths = write_sheets(folder)
    flags = cv2.IMREAD_REDUCED_GRAYSCALE_4

    def on_all_cores(work: Callable[[Path], object]) -> Callable[[], object]:
        def run() -> None:
            with ThreadPoolExecutor(CORES) as pool:
                for _ in pool.map(work, paths.values()):
                    pass

        return run

    return {
        "the bare decode": on_all_cores(lambda path: cv2.imdecode(np.frombuffer(path.read_bytes(), np.uint8), flags)),
        "from files opened with care": on_all_cores(
            lambda path: cv2.imdecode(np.frombuffer(read_plain_file(path), np.uint8), flags)
        ),
        "and with checks": on_all_cores(lambda path: decode_sheet(read_plain_file(path), RAW_SIZE, TENSOR_SIZE, 1)),
        "all, with masks, staged files and tables": lambda: process(paths, folder.parent),
    }
