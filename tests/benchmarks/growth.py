"""How time and memory grow with the number of sheets: processing, an epoch of training, explanations.

Every size runs in a process of its own, whose peak memory it tells; what was needed before the first sheet (imports,
warm-up) is in the memory of every size and in the seconds of none.
"""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
import torch
from tqdm import tqdm

from steel_xai.batches import Examples
from steel_xai.classifier import Classifier, ClassifierDescription
from steel_xai.config import TaskConfigLoader
from steel_xai.device import keep_freed_memory, place
from steel_xai.epochs import Task, build_optimizer, train_epoch
from steel_xai.interpretation.explain import explain_sheets
from steel_xai.objectives import one_class
from steel_xai.parameters import InterpretationParameters, TrainingParameters

from . import data
from .start import PROJECT
from .training import network

FACTORS = (1, 2, 4, 8)
SHEETS = {"processing": 2 * data.N_FILES, "training epoch": 64, "explanations": 16}
"""Sheets at 1x."""
CPU = torch.device("cpu")


class Growth(NamedTuple):
    """Seconds and peak megabytes at each factor; the exponent of the seconds: 1 is linear."""

    name: str
    sheets: list[int]
    seconds: list[float]
    megabytes: list[float]

    @property
    def exponent(self) -> float:
        """Slope of a straight line through the logarithms of seconds and sheets."""
        return float(np.polyfit(np.log(self.sheets), np.log(self.seconds), 1)[0])


def measure(folder: Path) -> list[Growth]:
    """Measure all three, at 1, 2, 4 and 8 times their sheets."""
    data.write_sheets(folder)
    rows = []
    for name, sheets in SHEETS.items():
        results = [_in_a_process(name, sheets * factor, folder) for factor in FACTORS]
        seconds, megabytes = (list(column) for column in zip(*results, strict=True))
        rows.append(Growth(name, [sheets * factor for factor in FACTORS], seconds, megabytes))
    return rows


def _in_a_process(name: str, n_sheets: int, folder: Path) -> tuple[float, float]:
    command = [sys.executable, "-m", "tests.benchmarks.growth", name, str(n_sheets), str(folder)]
    run = subprocess.run(command, capture_output=True, text=True, check=True)
    return tuple(json.loads(run.stdout.splitlines()[-1]))


def processing(n_sheets: int, folder: Path) -> Callable[[], object]:
    """Process raw files: decoding, checks, tensors, white stains, near-duplicates."""
    files = list(data.write_sheets(folder).items())
    paths = {f"{copy}_{name}": path for copy in range(n_sheets // len(files) + 1) for name, path in files}
    chosen = dict(list(paths.items())[:n_sheets])
    return lambda: data.process_and_index(chosen, folder.parent)


def training_epoch(n_sheets: int, folder: Path) -> Callable[[], object]:
    """Train the reduced SqueezeNet for an epoch on memory-mapped sheets."""
    keep_freed_memory(CPU)
    sheets, labels = _mapped_sheets(n_sheets, folder)
    nothing = np.zeros(n_sheets, dtype=bool)
    examples = Examples(np.arange(n_sheets), labels, nothing, nothing)
    values = _parameters()["training"] | {"learning_rate": 1e-3, "random_flips": True}
    parameters = TrainingParameters.model_validate(values)
    model = place(network(), CPU)
    task = Task(sheets, examples, examples, parameters, one_class(labels, 2, "none"), 0, CPU)
    optimizer = build_optimizer(model, parameters)
    return lambda: train_epoch(model, optimizer, task, 1, tqdm(file=sys.stderr))


def explanations(n_sheets: int, folder: Path) -> Callable[[], object]:
    """Explain sheets by guided GradCAM, as the interpretation does: chunk by chunk, into a file."""
    sheets, labels = _mapped_sheets(n_sheets, folder)
    values = _parameters()["interpretation"] | {"methods": ["guided_gradcam"]}
    few = InterpretationParameters.model_validate(values)
    about = few.model_copy(update={"sheets": few.sheets.model_copy(update={"random_network": 1, "lime": 0})})
    split = pd.DataFrame({"row": np.arange(n_sheets), "label": labels, "split": "train"})
    split = split.assign(image_id=split["row"].astype(str), copy=0, flip_h=0, flip_v=0)
    chosen = split.assign(split="test", predicted=labels, target=labels)
    model = Classifier(network().eval(), _description())
    work = Path(tempfile.mkdtemp(dir=folder.parent))
    return lambda: explain_sheets(model, sheets, split, chosen, about, device="cpu", folder=work)


def _mapped_sheets(n_sheets: int, folder: Path) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(0)
    path = folder.parent / f"sheets_{n_sheets}.npy"
    if not path.exists():
        np.save(path, rng.integers(0, 256, (n_sheets, 1, 64, 400), dtype=np.uint8))
    return np.load(path, mmap_mode="r"), np.arange(n_sheets) % 2


def _parameters() -> dict[str, dict[str, object]]:
    return TaskConfigLoader(str(PROJECT / "conf"), base_env="base", default_run_env="base")["parameters"]


def _description() -> ClassifierDescription:
    return ClassifierDescription(
        architecture="reduced_squeezenet",
        batch_norm=True,
        dropout=0.2,
        outputs=["no defect", "defect"],
        tensor_size=(64, 400),
        n_channels=1,
        mean=(0.485, 0.456, 0.406),
        std=(0.229, 0.224, 0.225),
        weights="random",
        seed=0,
        data_source="noise",
        sheets_fingerprint="",
        split_fingerprint="",
        n_train=0,
        best_epoch=1,
        epochs_run=1,
        seconds_training=0,
        interrupted=False,
        versions={},
        parameters={},
    )


WAYS = {"processing": processing, "training epoch": training_epoch, "explanations": explanations}


def main() -> None:
    """Be one of the processes: name, number of sheets, folder; prints seconds and peak megabytes (Linux)."""
    name, n_sheets, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    WAYS[name](SHEETS[name], folder)()
    way = WAYS[name](n_sheets, folder)
    begin = time.perf_counter()
    way()
    seconds = time.perf_counter() - begin
    # getrusage would count what the parent had in memory when it forked
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    assert peak is not None
    print(json.dumps([seconds, int(peak[1]) / 1024]))


if __name__ == "__main__":
    main()
