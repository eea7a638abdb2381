"""Which old versions of results can go, and removing them."""

import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steel_xai.lineage.content import size_and_time
from steel_xai.results import Result, dataset_folders, result_of, versions
from steel_xai.staging import is_running

VERSION = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}\.\d{2}\.\d{2}\.\d{3}Z")
"""How Kedro names versions; other names were given by hand and are left alone."""

_TRASH = ".pruned-"


@dataclass(frozen=True)
class Removal:
    """A version to remove."""

    dataset: str
    version: str
    folder: Path
    size: int
    """Bytes."""


@dataclass(frozen=True)
class Pruning:
    """What would be removed, and which folders among the versions were named by hand and are left alone."""

    removals: tuple[Removal, ...]
    named_by_hand: tuple[Path, ...]
    needed: tuple[Result, ...]
    """Older versions that stay because something newer was made from them."""


def plan_pruning(data_root: Path, data_source: str, keep: int) -> Pruning:
    """Choose the versions of a data source's results that can go.

    The newest ``keep`` versions of every dataset stay, and all that they were made from, directly or through others:
    the version that their record names or, where that is gone, the newest of the same content. Of a version without a
    record it is not known what it was made from; so that of every dataset the version stays that was the newest then.
    Results of other data sources, which may be made by this source's models, count as kept.
    """
    everything = {
        name: [result_of(name, folder, version) for version in versions(folder)]
        for name, folder in dataset_folders(data_root, data_source).items()
    }
    waiting: list[Result] = list(_results_of_other_sources(data_root, data_source))
    by_hand: list[Path] = []
    for found in everything.values():
        named = [result for result in found if not VERSION.fullmatch(result.version)]
        by_hand.extend(result.folder for result in named)
        waiting.extend([*named, *[result for result in found if result not in named][:keep]])
    first = {result.folder for result in waiting}
    kept: set[Path] = set()
    while waiting:
        result = waiting.pop()
        if result.folder not in kept:
            kept.add(result.folder)
            waiting.extend(_made_from(result, everything))
    results = [result for found in everything.values() for result in reversed(found)]
    removals = [removal for result in results if result.folder not in kept and (removal := _removal(result))]
    needed = [result for result in results if result.folder in kept - first]
    return Pruning(tuple(removals), tuple(by_hand), tuple(needed))


def remove(removals: tuple[Removal, ...]) -> int:
    """Remove versions and return the bytes that were freed; what has gone meanwhile is passed over.

    A version's folder is first renamed out of its dataset's folder, so that half of it is never loaded. Leftovers of
    a removal that was killed go as well.

    Raises:
        OSError: A folder cannot be renamed or removed.
    """
    freed = 0
    for removal in removals:
        trash = removal.folder.parent.with_name(
            f"{_TRASH}{os.getpid()}-{removal.folder.parent.name}-{removal.folder.name}"
        )
        _remove_leftovers(trash.parent)
        try:
            os.replace(removal.folder, trash)
        except FileNotFoundError:
            continue
        _remove_tree(trash)
        freed += removal.size
    return freed


def _results_of_other_sources(data_root: Path, data_source: str) -> Iterator[Result]:
    sources = {folder.name for folder in data_root.glob("0[2-8]_*/*") if folder.is_dir()}
    for source in sorted(sources - {data_source}):
        for name, folder in dataset_folders(data_root, source).items():
            for version in versions(folder):
                result = result_of(name, folder, version)
                if result.record is not None:
                    yield result


def _made_from(result: Result, everything: dict[str, list[Result]]) -> Iterator[Result]:
    """Yield the versions that a version was made from, as far as they are there."""
    if result.record is None:
        for found in everything.values():
            # versions are the newest first
            yield from [other for other in found if other.version <= result.version][:1]
        return
    for name, state in result.record.inputs.items():
        candidates = everything.get(name, [])
        named = [other for other in candidates if other.version == state.version]
        equal = [other for other in candidates if other.record is not None and other.record.content == state.content]
        yield from (named or equal)[:1]


def _removal(result: Result) -> Removal | None:
    try:
        return Removal(result.name, result.version, result.folder, size_and_time(result.folder)[0])
    except FileNotFoundError:
        return None


def _remove_leftovers(folder: Path) -> None:
    for left_over in folder.glob(f"{_TRASH}*"):
        pid = left_over.name.removeprefix(_TRASH).partition("-")[0]
        if pid.isdigit() and not is_running(int(pid)):
            _remove_tree(left_over)


def _remove_tree(folder: Path) -> None:
    def passed_over(_: object, __: str, problem: tuple[type[BaseException], BaseException, object]) -> None:
        if not isinstance(problem[1], FileNotFoundError):
            raise problem[1]

    shutil.rmtree(folder, onerror=passed_over)
