"""Arrays that should never be in memory as a whole: ``.npy`` files that grow block by block, and are mapped to read."""

import math
import warnings
from io import BytesIO
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike, NDArray

from steel_xai.errors import InputError
from steel_xai.one_step import cannot_write
from steel_xai.plain_file import one_line, plain_file_size

_NUMBERS = "biuf"


def map_array(path: Path) -> NDArray[Any]:
    """Map a ``.npy`` file of numbers into memory, read-only; its size in memory is what is looked at.

    Raises:
        InputError: It is no such file, or its size is not what its header says.
    """
    size = plain_file_size(path)
    try:
        with path.open("rb") as file, warnings.catch_warnings():
            warnings.simplefilter("error")
            # Later versions, which NumPy writes for arrays of records only, allow for headers of gigabytes.
            if np.lib.format.read_magic(file) != (1, 0):
                raise ValueError("not of version 1.0")
            shape, fortran_order, dtype = np.lib.format.read_array_header_1_0(file)
            offset = file.tell()
        if dtype.kind not in _NUMBERS:
            raise ValueError(f"it holds {dtype}, not numbers; pickled objects are never loaded")
        if min(shape, default=0) < 0 or size != offset + math.prod(shape) * dtype.itemsize:
            raise ValueError(f"its {size} bytes are not what {dtype} of shape {shape} takes")
        return np.memmap(path, dtype, "r", offset, shape, order="F" if fortran_order else "C")
    except Exception as error:  # a hostile header makes NumPy raise many types
        raise InputError(
            f"{path} is no readable .npy array ({one_line(error)}); make it anew or load another version."
        ) from error


class ArrayFile:
    """Write an array ``[N, *item_shape]`` along its first axis without knowing N beforehand.

    Plain writes instead of a memory map: dirty pages of a map count as the process's own memory. After an
    error nothing is left at `path`; afterwards ``np.load(path, mmap_mode="r", allow_pickle=False)`` reads it.

    Raises:
        InputError: The file cannot be written, for instance because the disk is full.
    """

    def __init__(self, path: Path, dtype: DTypeLike, item_shape: tuple[int, ...]) -> None:
        self.path = path
        self.dtype = np.dtype(dtype)
        self.item_shape = item_shape
        self.length = 0
        try:
            # Unbuffered, so that a full disk shows at the block that meets it and not again while closing.
            self._file = path.open("wb", buffering=0)
        except OSError as error:
            raise cannot_write(self.path, error) from error
        self._write(self._header())

    def append(self, block: NDArray[Any]) -> None:
        """Add a block ``[n, *item_shape]`` of the file's dtype."""
        if block.shape[1:] != self.item_shape or block.dtype != self.dtype:
            raise TypeError(
                f"{self.path.name} holds {self.dtype} {self.item_shape}, not {block.dtype} {block.shape[1:]}"
            )
        self._write(np.ascontiguousarray(block).data.cast("B") if block.size else b"")
        self.length += len(block)

    def close(self) -> None:
        """Write the final length into the header; the array is complete afterwards."""
        if self._file.closed:
            return
        self._file.seek(0)
        self._write(self._header())
        self._file.close()

    def discard(self) -> None:
        """Close and remove the unfinished file."""
        self._file.close()
        self.path.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self.discard()

    def _header(self) -> bytes:
        """Return the header for the present length; NumPy pads it, so that its size does not depend on the length."""
        header = BytesIO()
        shape = (self.length, *self.item_shape)
        description = np.lib.format.dtype_to_descr(self.dtype)
        np.lib.format.write_array_header_1_0(header, {"descr": description, "fortran_order": False, "shape": shape})
        return header.getvalue()

    def _write(self, data: bytes | memoryview) -> None:
        left = memoryview(data)
        try:
            while left:
                left = left[self._file.write(left) :]
        except OSError as error:
            self.discard()
            raise cannot_write(self.path, error) from error
