"""``make bench``: time every row of the design's speed table that the project has reached, and print the ratios."""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from . import attribution, data, start, training


class Row(NamedTuple):
    """One comparison: medians in seconds of our way, the usual way (peer) and the least possible (floor)."""

    name: str
    ours: float
    peer: float
    floor: float
    target: str
    met: bool


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


def main() -> int:
    """Print the table; the exit code is 1 if a target is missed."""
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        ours, peer, floor = median_seconds(*data.ways(Path(folder) / "raw"))
        target = "peer >= 3.0, floor >= 0.85"
        rows.append(Row("raw JPEG -> tensors", ours, peer, floor, target, peer / ours >= 3 and floor / ours >= 0.85))

        rounds = [[training.seconds_per_step(way) for way in ("ours", "peer", "floor")] for _ in range(3)]
        ours, peer, floor = (statistics.median(times) for times in zip(*rounds, strict=True))
        target = "peer >= 1.5, floor >= 0.95"
        rows.append(Row("training step", ours, peer, floor, target, peer / ours >= 1.5 and floor / ours >= 0.95))

        ours, bare = median_seconds(*start.ways(Path(folder) / "bare"))
        rows.append(Row("start of a kedro command", ours, bare, bare, "floor >= 0.67", bare / ours >= 1 / 1.5))

        for name, ways in attribution.ways().items():
            ours, peer, floor = median_seconds(*ways, repeats=3)
            shared = name.startswith("GradCAM +")
            target = "peer >= 3.5" if shared else "floor >= 0.77"
            met = peer / ours >= 3.5 if shared else floor / ours >= 1 / 1.3
            rows.append(Row(name, ours, peer, floor, target, met))
        difference = attribution.largest_difference()

        few, many = data.peak_megabytes(Path(folder) / "raw")
    print(f"\n{'':26} {'ours s':>8} {'peer s':>8} {'floor s':>8} {'peer/ours':>10} {'floor/ours':>10}  target")
    for row in rows:
        ratios = f"{row.peer / row.ours:>10.2f} {row.floor / row.ours:>10.2f}"
        times = f"{row.ours:>8.3f} {row.peer:>8.3f} {row.floor:>8.3f}"
        print(f"{row.name:26} {times} {ratios}  {row.target}{'' if row.met else '  MISSED'}")
    print(f"{'maps of the three and captum differ by':38} {difference:.1e} of the largest value")
    flat = many < few * 1.2 and many < 1500
    print(f"{'peak memory, 1x / 8x sheets':26} {few:.0f} / {many:.0f} MB  flat, < 1500 MB{'' if flat else '  MISSED'}")
    return 0 if flat and all(row.met for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main())
