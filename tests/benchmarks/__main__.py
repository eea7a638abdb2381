"""``make bench``: time every row of the design's speed table, print the ratios, and write them into ``docs``."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

from . import attribution, cluster, data, growth, start, training
from .start import PROJECT
from .table import Row, as_text, rows_of, write


def median_seconds(*ways: Callable[[], object], repeats: int = 5) -> list[float]:
    """Time several ways in turn, so that a drifting machine slows them alike; the first round is not counted."""
    seconds: list[list[float]] = [[] for _ in ways]
    for round_number in range(repeats + 1):
        for way, taken in zip(ways, seconds, strict=True):
            begin = time.perf_counter()
            way()
            if round_number:
                taken.append(time.perf_counter() - begin)
    return [statistics.median(taken) for taken in seconds]


def of_data(folder: Path) -> Row:
    """From raw files to tensors."""
    ours, peer, floor = median_seconds(*data.ways(folder / "raw"))
    row = Row("raw JPEG to tensors", ours, peer, floor, need_peer=3, need_floor=0.85)
    if row.met:
        return row
    why = "beside the bare decode, files are opened without following links, and headers checked before any pixel"
    return replace(row, explained=f"{why}. {_measured(data.parts(folder / 'raw'))}")


def of_training() -> Row:
    """A step of the training loop."""
    rounds = [[training.seconds_per_step(way) for way in ("ours", "peer", "floor")] for _ in range(3)]
    ours, peer, floor = (statistics.median(times) for times in zip(*rounds, strict=True))
    row = Row("training step", ours, peer, floor, need_peer=1.5, need_floor=0.95)
    if row.met:
        return row
    why = "the floor neither reads batches nor changes weights"
    spread = ", ".join(f"{theirs / mine:.2f}" for mine, _, theirs in rounds)
    return replace(row, explained=f"{why}. {_measured(training.parts())}. Floor / ours of each round: {spread}")


def of_attribution() -> list[Row]:
    """Every attribution method."""
    rows = []
    for name, (ours, peer, floor) in attribution.ways().items():
        ways = [way for way in (ours, floor, peer) if way is not None]
        taken = median_seconds(*ways, repeats=3)
        shared = name.startswith("GradCAM +")
        row = Row(
            name,
            taken[0],
            taken[2] if peer else None,
            taken[1],
            need_peer=3.5 if shared else None,
            need_floor=None if shared else 1 / 1.3,
        )
        rows.append(row if row.met else replace(row, explained=_explained(name)))
    return rows


def of_start(folder: Path) -> Row:
    """A run that does nothing, for what every run costs."""
    ours, bare = median_seconds(*start.ways(folder / "bare"))
    return Row("kedro run of a trivial pipeline", ours, bare, bare, need_floor=1 / 1.5)


def _explained(name: str) -> str:
    """Say by a measurement where the time of GradCAM goes, whose floor leaves out what it needs."""
    if name != "GradCAM":
        return ""
    why = "the floor has no backward pass, and a class activation map needs one from the logits to its layer"
    return f"{why}. {_measured(attribution.parts_of_gradcam())}"


def _measured(parts: Mapping[str, Callable[[], object]]) -> str:
    seconds = median_seconds(*parts.values(), repeats=3)
    taken = "; ".join(f"{part}: {value:.3f} s" for part, value in zip(parts, seconds, strict=True))
    return f"Measured in this run: {taken}"


def main() -> int:
    """Measure, print and write; the exit code is 1 if a target is missed."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = [of_data(folder), of_training(), *of_attribution(), of_start(folder)]
        growths = growth.measure(folder / "raw")
        spreads = cluster.measure(folder / "raw") if cluster.is_installed() else []
    difference = attribution.largest_difference()
    write(rows, growths, spreads, difference, PROJECT / "docs")
    print(as_text(rows, growths, spreads))
    print(f"shared maps and captum's differ by {difference:.0e} of the largest value")
    print(f"written to docs/benchmarks.json and docs/benchmarks.md in {time.perf_counter() - begin:.0f} s")
    every = [*rows, *(row for found in growths for row in rows_of(found))]
    return 0 if all(row.met for row in every) else 1


if __name__ == "__main__":
    sys.exit(main())
