"""Content hashes: what a result was made from, whatever version or path it had."""

import hashlib
import json
from typing import Any

import numpy as np
import pandas as pd

_CHUNK_BYTES = 16 << 20


def fingerprint(*parts: Any) -> str:
    """Hash the content of arrays, tables and JSON-able values into 32 hexadecimal digits.

    Arrays (memory-mapped ones too, read in chunks) count by shape, type and values. Tables count by the CSV they
    would make, so that one hashes alike before it is saved and after it is loaded. The parts' order matters.

    Raises:
        TypeError: If a part is neither an array nor a table and JSON cannot say it.
    """
    digest = hashlib.blake2b(digest_size=16)
    for part in parts:
        if isinstance(part, np.ndarray):
            kind = f"array {part.dtype.str} {part.shape}"
            chunks = _chunks(part)
        elif isinstance(part, pd.DataFrame):
            kind = "table"
            chunks = [part.to_csv(index=False, lineterminator="\n").encode()]
        else:
            kind = "value"
            chunks = [json.dumps(part, sort_keys=True).encode()]
        content = hashlib.blake2b(kind.encode(), digest_size=32)
        for chunk in chunks:
            content.update(chunk)
        digest.update(content.digest())
    return digest.hexdigest()


def _chunks(array: np.ndarray) -> Any:
    if array.ndim == 0:
        yield array.tobytes()
        return
    step = max(1, _CHUNK_BYTES // max(1, array.nbytes // max(1, len(array))))
    for start in range(0, len(array), step):
        yield np.ascontiguousarray(array[start : start + step])
