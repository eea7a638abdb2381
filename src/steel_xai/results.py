"""The results on disk: which datasets have which versions, and what each version was made from.

A result lies at ``<data_root>/<layer>/<data_source>/[<task>/]<name>.<ext>/<version>/<name>.<ext>``, and its dataset is
called ``[<task>.]<name>``.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from steel_xai.lineage.records import Record, read_record

RESULT_LAYERS = "0[2-8]_*"


@dataclass(frozen=True)
class Result:
    """One version of a dataset on disk."""

    name: str
    """In the catalog: ``binary.metrics``, ``study_report``."""
    version: str
    path: Path
    """Of the file, or of the folder for models."""
    record: Record | None
    """None for results that were made before records were kept, and where the record is damaged."""

    @property
    def folder(self) -> Path:
        """The version's folder, which also holds the record."""
        return self.path.parent


MODELS = ("model", "unets")
"""Datasets that ``model_source`` takes from another source, by the last part of their names."""


def latest_results(data_root: Path, data_source: str, model_source: str | None = None) -> dict[str, Result]:
    """Return the newest version of every result of a data source, by the name of its dataset.

    ``model_source`` is the source whose models look at these sheets, where it is another one.
    """
    folders = dataset_folders(data_root, data_source)
    if model_source not in (None, data_source):
        others = dataset_folders(data_root, str(model_source))
        folders |= {name: folder for name, folder in others.items() if name.rpartition(".")[2] in MODELS}
    found = {name: newest_result(name, folder) for name, folder in folders.items()}
    return {name: result for name, result in found.items() if result is not None}


def dataset_folders(data_root: Path, data_source: str) -> dict[str, Path]:
    """Return the folder of every dataset that has a version, by the dataset's name, in the order of layers."""
    folders: dict[str, Path] = {}
    for layer in sorted(data_root.glob(RESULT_LAYERS)):
        for folder in _folders(layer / data_source):
            if versions(folder):
                folders[folder.stem] = folder
            else:
                folders |= {f"{folder.name}.{inner.stem}": inner for inner in _folders(folder) if versions(inner)}
    return folders


def versions(folder: Path) -> list[str]:
    """Return a dataset's versions, newest first: in the order of their names, as Kedro sees them."""
    return sorted((inner.name for inner in _folders(folder) if (inner / folder.name).exists()), reverse=True)


def newest_result(name: str, folder: Path, version: str | None = None) -> Result | None:
    """Return the newest version in a dataset's folder, or the one asked for; None where there is none."""
    found = versions(folder)
    chosen = version or next(iter(found), None)
    return result_of(name, folder, chosen) if chosen in found else None


def result_of(name: str, folder: Path, version: str) -> Result:
    """Return a version of a dataset with its record."""
    return Result(name, version, folder / version / folder.name, read_record(folder / version))


def _folders(folder: Path) -> Iterator[Path]:
    """Yield the folders within a folder in order, but hidden ones; none if it is not there, or goes meanwhile."""
    try:
        entries = sorted(folder.iterdir())
    except (FileNotFoundError, NotADirectoryError):
        return
    yield from (entry for entry in entries if not entry.name.startswith(".") and entry.is_dir())
