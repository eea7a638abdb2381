"""Rows of long tables, each kept in a file of its own, so that a run that was killed goes on with the next row."""

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

from steel_xai.fingerprint import fingerprint
from steel_xai.one_step import replacing

FINISHED = "finished.json"

logger = logging.getLogger(__name__)

Row = dict[str, Any]


def finished_row(folder: Path, made_from: list[Any], make: Callable[[], Row]) -> Row:
    """Return the row that an earlier run finished from the same things, or make it and leave it for later runs."""
    path, key = folder / FINISHED, fingerprint(made_from)
    finished = _read(path)
    if finished.get("key") == key:
        logger.info("%s was finished by an earlier run.", folder.name)
        row: Row = finished["row"]
        return row
    row = make()
    folder.mkdir(parents=True, exist_ok=True)
    with replacing(path) as part:
        part.write_text(json.dumps({"key": key, "row": row}, allow_nan=False), encoding="utf-8")
    return row


def _read(path: Path) -> dict[str, Any]:
    """Read a finished row with its key; nothing where there is none or it is damaged."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}
