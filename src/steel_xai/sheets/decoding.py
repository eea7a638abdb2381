"""From the bytes of an image file to a tensor, with nothing taken on trust.

Every sheet that cannot be used raises `SheetError` with a short reason for the quarantine.
"""

import io
import os
import stat
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE_BYTES = 64 * 2**20
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_OFFSET = 24


class SheetError(ValueError):
    """A file that is no usable sheet; the message is a short reason."""


def read_plain_file(path: Path) -> bytes:
    """Read a regular file of at most 64 MiB; links, pipes and devices are refused without waiting for them.

    Raises:
        SheetError: The file is missing, unreadable, empty, too large, or no plain file.
    """
    if path.is_symlink():
        raise SheetError("a link, not a plain file")
    # Asking the opened file, not the path, leaves no gap in which it could be exchanged; O_NONBLOCK keeps a
    # pipe without a writer from hanging the run. Windows knows neither flag.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        raise SheetError(f"cannot be opened ({error.strerror})") from error
    try:
        data = _read_descriptor(descriptor)
    except OSError as error:
        raise SheetError(f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)
    if not data:
        raise SheetError("empty file")
    return data


def _read_descriptor(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SheetError("not a plain file")
    if status.st_size > MAX_FILE_BYTES:
        raise SheetError(f"file larger than {MAX_FILE_BYTES // 2**20} MiB")
    with open(descriptor, "rb", buffering=0, closefd=False) as file:
        return file.read()


def decode_sheet(
    data: bytes, raw_size: tuple[int, int], tensor_size: tuple[int, int], channels: int
) -> NDArray[np.uint8]:
    """Decode a JPEG or PNG straight to the tensor's size.

    A JPEG is decoded at the smallest scale (1/2, 1/4, 1/8) that still covers the tensor; what is left to shrink is
    averaged over areas, and a PNG is decoded in full. The file's content decides its type, not its name. Alpha
    is dropped, colour becomes luminance where one channel is asked for, grey is repeated where three are. EXIF
    orientation is ignored, because masks refer to the pixels as stored.

    Args:
        data: Content of the file.
        raw_size: Expected height and width in pixels.
        tensor_size: Wanted height and width in pixels.
        channels: 1 (grey) or 3 (red, green, blue).

    Returns:
        Sheet ``[channels, height, width]``, 0..255.

    Raises:
        SheetError: The data is no whole, 8-bit grey or RGB picture of the raw size.
    """
    import cv2

    header = _read_header(data, raw_size)
    pixels = (
        _decode_jpeg(data, raw_size, tensor_size, channels)
        if header.format == "JPEG"
        else _decode_png(header, channels)
    )
    height, width = tensor_size
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1))


def _read_header(data: bytes, raw_size: tuple[int, int]) -> "Image":
    """Check type, size, mode and completeness before any pixel is decoded."""
    from PIL import Image

    if not data:
        raise SheetError("empty file")
    if not data.startswith((_JPEG_START, _PNG_START)):
        raise SheetError("neither a JPEG nor a PNG")
    try:
        image = Image.open(io.BytesIO(data), formats=("JPEG", "PNG"))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SheetError("far larger than any sheet") from error
    except Exception as error:  # broken headers make Pillow raise many types
        raise SheetError("header cannot be read") from error

    if image.size != (raw_size[1], raw_size[0]):
        raise SheetError(f"{image.height}x{image.width}, expected {raw_size[0]}x{raw_size[1]}")
    sixteen_bit = image.format == "PNG" and data[_PNG_DEPTH_OFFSET] == 16
    if sixteen_bit or image.mode not in ("L", "LA", "RGB", "RGBA"):
        mode = f"16-bit {image.mode}" if sixteen_bit else image.mode
        raise SheetError(f"colour mode {mode}, expected 8-bit grey or RGB")
    # Pictures cut short decode silently to half a picture in some versions of OpenCV. The end marker alone is no
    # proof, a thumbnail has one too: no scan may follow it.
    end = data.rfind(_JPEG_END)
    if image.format == "JPEG" and (end < 0 or _JPEG_SCAN in data[end:]):
        raise SheetError("truncated JPEG")
    if image.format == "PNG" and b"IEND" not in data[-1024:]:
        raise SheetError("truncated PNG")
    return image


def _decode_jpeg(
    data: bytes, raw_size: tuple[int, int], tensor_size: tuple[int, int], channels: int
) -> NDArray[np.uint8]:
    """Return ``[height, width]`` or ``[height, width, 3]`` at the smallest scale that covers the tensor."""
    import cv2

    grey = {
        1: cv2.IMREAD_GRAYSCALE,
        2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
        4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
        8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
    }
    colour = {
        1: cv2.IMREAD_COLOR,
        2: cv2.IMREAD_REDUCED_COLOR_2,
        4: cv2.IMREAD_REDUCED_COLOR_4,
        8: cv2.IMREAD_REDUCED_COLOR_8,
    }
    reduction = max(
        scale
        for scale in grey
        if scale == 1 or all(-(-raw // scale) >= size for raw, size in zip(raw_size, tensor_size, strict=True))
    )
    flags = (grey if channels == 1 else colour)[reduction] | cv2.IMREAD_IGNORE_ORIENTATION
    try:
        pixels = cv2.imdecode(np.frombuffer(data, dtype=np.uint8), flags)
    except cv2.error as error:
        raise SheetError("cannot be decoded") from error
    if pixels is None:
        raise SheetError("cannot be decoded")
    return np.asarray(pixels if channels == 1 else pixels[:, :, ::-1], dtype=np.uint8)


def _decode_png(image: "Image", channels: int) -> NDArray[np.uint8]:
    """Return ``[height, width]`` or ``[height, width, 3]`` in full; Pillow, unlike OpenCV, tells a broken stream."""
    try:
        return np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # broken streams make Pillow raise many types
        raise SheetError("cannot be decoded") from error
