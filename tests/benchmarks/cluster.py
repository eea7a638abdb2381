"""What a second worker of a Dask cluster brings: the same sheets on one worker and on two, each of one thread."""

import importlib
import importlib.util
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from steel_xai.cluster import on_cluster

from . import data
from .growth import WAYS

SHEETS = {"processing": data.N_COPIES * data.N_FILES, "explanations": 192}
FEW = {"processing": data.N_FILES, "explanations": 16}
"""Sheets of the round that is not counted; before it every worker imports what it needs, for one may get no batch."""


class Spread(NamedTuple):
    """Seconds of the same sheets on one worker and on two."""

    name: str
    sheets: int
    one: float
    two: float

    @property
    def ratio(self) -> float:
        """How many times as many sheets a second two workers do; 2 is all that can be had."""
        return self.one / self.two


def is_installed() -> bool:
    """Tell whether the extra ``cluster`` is there."""
    return importlib.util.find_spec("distributed") is not None


def measure(folder: Path) -> list[Spread]:
    """Measure processing and explanations, whose main process works as well: it cuts batches and writes results."""
    data.write_sheets(folder)
    one, two = (_on_workers(n, folder) for n in (1, 2))
    return [Spread(name, n_sheets, one[name], two[name]) for name, n_sheets in SHEETS.items()]


def _on_workers(n: int, folder: Path) -> dict[str, float]:
    from distributed import Client, LocalCluster

    local = {"processes": True, "dashboard_address": ":0", "silence_logs": "CRITICAL"}
    with (
        LocalCluster(n_workers=n, threads_per_worker=1, **local) as cluster,
        on_cluster(cluster.scheduler_address),
    ):
        with Client(cluster.scheduler_address) as client:
            client.run(_import_all)
        for name, n_sheets in FEW.items():
            WAYS[name](n_sheets, folder)()
        return {name: _seconds(WAYS[name](n_sheets, folder)) for name, n_sheets in SHEETS.items()}


def _import_all() -> None:
    for module in ("steel_xai.interpretation.explain", "steel_xai.attribution.engine", "steel_xai.sheets.processing"):
        importlib.import_module(module)


def _seconds(way: Callable[[], object]) -> float:
    begin = time.perf_counter()
    way()
    return time.perf_counter() - begin
