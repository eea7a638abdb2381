"""Results that were changed on disk after they had been made: by hand, or by whatever cut them short."""

import logging
from typing import Any

from steel_xai.errors import InputError
from steel_xai.lineage.freshness import current_content
from steel_xai.results import Result

logger = logging.getLogger(__name__)


def fields_of(data: Any) -> list[str] | None:
    """Return the columns of a table or the keys of an object; None for other data."""
    if hasattr(data, "columns"):
        return [str(name) for name in data.columns]
    return list(data) if isinstance(data, dict) and all(isinstance(key, str) for key in data) else None


def check_unchanged(result: Result, data: Any, way_to_make: str) -> None:
    """Warn of a loaded result whose file is not the one that was recorded.

    Args:
        result: Where it lies, with its record.
        data: What was loaded.
        way_to_make: The command that makes it anew.

    Raises:
        InputError: It lacks columns or keys that it was made with.
    """
    record = result.record
    if record is None or current_content(result) == record.content:
        return
    missing = [name for name in record.fields or () if name not in (fields_of(data) or ())]
    if missing:
        kind = "columns" if hasattr(data, "columns") else "keys"
        raise InputError(
            f"{result.path} was changed after it was made and lacks the {kind} {', '.join(missing)}. Put them back, "
            f"delete the folder {result.folder} to go on with the version before it, or make it anew: {way_to_make}."
        )
    logger.warning("%s was changed after it was made and is used as it is; %s makes it anew.", result.path, way_to_make)
