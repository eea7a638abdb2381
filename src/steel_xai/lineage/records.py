"""Records of what a version of a result was made from, kept beside it as ``lineage.json``."""

import os
from pathlib import Path

from pydantic import BaseModel, ConfigDict, JsonValue, ValidationError

RECORD = "lineage.json"
"""In the version's folder, where Kedro, which looks for a file of the dataset's own name, does not see it."""


class InputState(BaseModel):
    """Which state of a dataset went into a result."""

    model_config = ConfigDict(frozen=True)

    version: str | None
    """None for files of the user's own, which have no versions."""
    content: str


class Record(BaseModel):
    """What one version of a result was made from; a dataset kept in memory is replaced by what it was made from."""

    model_config = ConfigDict(frozen=True, ser_json_inf_nan="constants")

    dataset: str
    version: str
    node: str
    pipeline: str
    inputs: dict[str, InputState]
    parameters: dict[str, JsonValue]
    """By dotted name, such as ``binary.training.epochs``."""
    code: str
    sources: dict[str, str]
    """By module, a hash of those of its functions and classes that the result was made by, and by path one of each
    template or other file beside them; ``code`` is theirs."""
    content: str
    size: int
    """Bytes of the result, and with ``modified_ns`` a quick sign that the file is still the one recorded."""
    modified_ns: int
    made_at: str
    """ISO 8601, UTC."""
    fields: list[str] | None = None
    """Columns of a table, keys of an object; None for other results, and in records that were written before."""
    seconds: float
    """That the node ran, without loading and saving."""
    package_version: str
    unfinished: str | None = None
    """Why more would come of running the node again, such as a training that was interrupted."""
    git_commit: str | None
    """Ends in ``-dirty`` if there were changes beside it."""


def read_record(version_folder: Path) -> Record | None:
    """Return the record in the folder of a version; None where there is none, or what is there is no record."""
    try:
        return Record.model_validate_json((version_folder / RECORD).read_bytes())
    except (OSError, ValidationError):
        return None


def write_record(version_folder: Path, record: Record) -> None:
    """Write the record of a version; a reader sees it whole or not at all.

    Raises:
        OSError: It cannot be written.
    """
    part = version_folder / f".{RECORD}.{os.getpid()}.part"
    try:
        part.write_text(record.model_dump_json(indent=1) + "\n", encoding="utf-8")
        os.replace(part, version_folder / RECORD)
    finally:
        part.unlink(missing_ok=True)
