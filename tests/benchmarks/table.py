"""The benchmarks' results as a table on the terminal, a JSON file and a page of the documentation."""

import json
import os
import platform
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date
from pathlib import Path

import torch

from .cluster import Spread
from .growth import Growth

LARGEST_EXPONENT = 1.1
"""Of time against sheets that still counts as linear."""
LARGEST_MEMORY = 1.2
"""Peak memory at 8x the sheets over that at 1x that still counts as flat."""


@dataclass(frozen=True)
class Row:
    """One comparison: medians in seconds of our way, the usual way (peer) and the least possible (floor).

    ``need_peer`` and ``need_floor`` are the least that peer / ours and floor / ours should be. ``explained`` says by a
    measurement of the same run why a target is missed.
    """

    name: str
    ours: float
    peer: float | None
    floor: float | None
    need_peer: float | None = None
    need_floor: float | None = None
    explained: str = ""

    @property
    def ratio_peer(self) -> float | None:
        """How many times as fast as the usual way."""
        return None if self.peer is None else self.peer / self.ours

    @property
    def ratio_floor(self) -> float | None:
        """Which share of the least possible time ours is."""
        return None if self.floor is None else self.floor / self.ours

    @property
    def target(self) -> str:
        """The target in words."""
        parts = [("peer", self.need_peer), ("floor", self.need_floor)]
        return ", ".join(f"{name} >= {need:.2f}" for name, need in parts if need is not None)

    @property
    def met(self) -> bool:
        """Whether both ratios reach their targets."""
        pairs = [(self.ratio_peer, self.need_peer), (self.ratio_floor, self.need_floor)]
        return all(ratio is not None and ratio >= need for ratio, need in pairs if need is not None)

    def record(self) -> dict[str, object]:
        """Give the row as it is written."""
        known = asdict(self)
        return {
            "name": self.name,
            "ours": self.ours,
            "peer": self.peer,
            "floor": self.floor,
            "ratio_peer": self.ratio_peer,
            "ratio_floor": self.ratio_floor,
            "target": self.target,
            "met": self.met,
            "explained": known["explained"],
        }


def as_text(rows: Sequence[Row], growths: Sequence[Growth], spreads: Sequence[Spread]) -> str:
    """Lay the results out for the terminal."""
    lines = [f"{'':34} {'ours s':>8} {'peer s':>8} {'floor s':>8} {'peer/ours':>10} {'floor/ours':>10}  target"]
    for row in rows:
        numbers = [f"{row.ours:>8.3f}", *(_number(value, 8, 3) for value in (row.peer, row.floor))]
        ratios = [_number(value, 10, 2) for value in (row.ratio_peer, row.ratio_floor)]
        missed = "" if row.met else f"  MISSED: {row.explained or 'not explained'}"
        lines.append(f"{row.name:34} {' '.join(numbers + ratios)}  {row.target}{missed}")
    lines.append("")
    for growth in growths:
        seconds = " / ".join(f"{value:.1f}" for value in growth.seconds)
        memory = " / ".join(f"{value:.0f}" for value in growth.megabytes)
        sheets = " / ".join(map(str, growth.sheets))
        lines.append(f"{growth.name}: {sheets} sheets in {seconds} s (exponent {growth.exponent:.2f}), {memory} MB")
    lines.append("")
    for spread in spreads:
        one, two = (spread.sheets / seconds for seconds in (spread.one, spread.two))
        lines.append(
            f"{spread.name} on Dask workers: {one:.0f} sheets/s on 1, {two:.0f} on 2 ({spread.ratio:.2f} times)"
        )
    if not spreads:
        lines.append(_NO_DASK)
    return "\n".join(lines)


def rows_of(growth: Growth) -> list[Row]:
    """Give a growth's time and memory as rows: ours at the most sheets, the floor from the fewest."""
    factor = growth.sheets[-1] / growth.sheets[0]
    at = f"at {factor:.0f}x the sheets"
    seconds, megabytes = growth.seconds, growth.megabytes
    linear, flat = factor ** (1 - LARGEST_EXPONENT), 1 / LARGEST_MEMORY
    return [
        Row(f"{growth.name}: seconds {at}", seconds[-1], None, factor * seconds[0], need_floor=linear),
        Row(f"{growth.name}: peak megabytes {at}", megabytes[-1], None, megabytes[0], need_floor=flat),
    ]


def row_of(spread: Spread) -> Row:
    """Give what a second worker brings as a row: the peer is one worker, the floor half of its time."""
    return Row(f"{spread.name} on two Dask workers", spread.two, spread.one, spread.one / 2)


def write(
    rows: Sequence[Row], growths: Sequence[Growth], spreads: Sequence[Spread], difference: float, docs: Path
) -> None:
    """Write ``benchmarks.json`` and ``benchmarks.md``."""
    further = [*(row for growth in growths for row in rows_of(growth)), *map(row_of, spreads)]
    records = [row.record() for row in (*rows, *further)]
    (docs / "benchmarks.json").write_text(json.dumps(records, indent=2) + "\n", encoding="utf-8")
    (docs / "benchmarks.md").write_text(as_page(rows, growths, spreads, difference), encoding="utf-8")


def as_page(rows: Sequence[Row], growths: Sequence[Growth], spreads: Sequence[Spread], difference: float) -> str:
    """Write the page of the documentation."""
    table = [
        "| | ours, s | peer, s | floor, s | peer / ours | floor / ours | target | met |",
        "|---|---|---|---|---|---|---|---|",
    ]
    for row in rows:
        cells = [row.name, f"{row.ours:.3f}", *(_number(value, 0, 3) for value in (row.peer, row.floor))]
        cells += [_number(value, 0, 2) for value in (row.ratio_peer, row.ratio_floor)]
        table.append(f"| {' | '.join([*cells, row.target, 'yes' if row.met else 'no'])} |")
    every = [*rows, *(row for found in growths for row in rows_of(found))]
    reasons = [f"- **{row.name}**: {row.explained or 'not explained'}" for row in every if not row.met]
    growth = ["| | sheets | seconds | exponent | peak memory, MB |", "|---|---|---|---|---|"]
    for found in growths:
        sheets = " / ".join(map(str, found.sheets))
        seconds = " / ".join(f"{value:.1f}" for value in found.seconds)
        memory = " / ".join(f"{value:.0f}" for value in found.megabytes)
        growth.append(f"| {found.name} | {sheets} | {seconds} | {found.exponent:.2f} | {memory} |")
    workers = ["| | sheets | sheets/s on 1 worker | on 2 workers | ratio |", "|---|---|---|---|---|"]
    for spread in spreads:
        one, two = (spread.sheets / seconds for seconds in (spread.one, spread.two))
        workers.append(f"| {spread.name} | {spread.sheets} | {one:.0f} | {two:.0f} | {spread.ratio:.2f} |")
    return _PAGE.format(
        date=date.today().isoformat(),
        machine=_machine(),
        no_gpu="" if torch.cuda.is_available() else _NO_GPU,
        table="\n".join(table),
        difference=f"{difference:.0e}",
        reasons="\n".join(reasons) or "None was missed.",
        growth="\n".join(growth),
        exponent=LARGEST_EXPONENT,
        memory=LARGEST_MEMORY,
        grown="met" if all(row.met for found in growths for row in rows_of(found)) else "missed",
        workers="\n".join(workers) if spreads else _NO_DASK,
    )


def _number(value: float | None, width: int, digits: int) -> str:
    return f"{'':>{width}}" if value is None else f"{value:>{width}.{digits}f}"


def _machine() -> str:
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    models = [line for line in _cpu_lines() if line.startswith("model name")]
    name = models[0].split(":", 1)[1].strip() if models else platform.processor() or platform.machine()
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else "no GPU"
    return f"{name}, {cores} cores, {gpu}; Python {platform.python_version()}, torch {torch.__version__}"


def _cpu_lines() -> list[str]:
    path = Path("/proc/cpuinfo")
    return path.read_text(encoding="utf-8").splitlines() if path.exists() else []


_NO_DASK = "Two Dask workers against one: not measured, because the extra `cluster` is not installed."

_NO_GPU = (
    " Training, the comparison of networks and attribution on a GPU are\nnot measured: there was none. See"
    " [GPUs and several devices](gpu.md)."
)

_PAGE = """# Benchmarks

Written by `make bench` on {date}, in one run: medians over repeats, all ways in turn, so that a drifting machine slows
them alike; growth and workers are measured once. Machine: {machine}.{no_gpu}

*Peer* is the usual way: Pillow's decode and resize; the study's own training loop; captum or lime, one image at a time;
`kedro run` in a bare Kedro project. *Floor* is the least that the result can cost: the bare decode at reduced scale,
forward and backward passes on tensors already in memory, the passes that a method is made of (for GradCAM the forward
pass alone; for LayerCAM, HiResCAM and guided GradCAM with the gradients that they weight by). Seconds are of what the
row names, on networks of random weights and sheets of noise: they say nothing about steel.

{table}

GradCAM, guided backpropagation and guided GradCAM differ from captum's by {difference} of the largest value of a map.

## Targets that were missed

{reasons}

## Growth

Each size in a process of its own; the exponent is the slope of time against sheets on logarithmic axes, 1 is linear.
Processing goes from raw files to tensors, white stains and near-duplicates. For the last of these all hashes of sheets
are compared with all, which is quadratic, but too fast to be seen here ([A million sheets](cluster.md)); that 12,568
sheets are processed in less than 1.5 GB is a slow test. Memory is the process's peak, of which the libraries take most.
Targets: an exponent of at most {exponent} from the fewest to the most sheets, and {memory} times the memory: {grown}.
How long the whole study takes is not measured here but by the study: its report says in the last section how long each
stage took, the README how long all did.

{growth}

## Two workers of a cluster against one

Workers of one thread each on this machine, which also runs the scheduler and the main process: 2 is all that can be
had, and on two cores less. See [A million sheets](cluster.md).

{workers}
"""
