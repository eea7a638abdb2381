"""From the bytes of an image file to a tensor, with nothing taken on trust.

Every sheet that cannot be used raises `SheetError` with a short reason for the quarantine.
"""

import io
import os
import re
import stat
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from steel_xai.raw_files import RawFile, is_url, read_url

if TYPE_CHECKING:
    from PIL.Image import Image

MAX_FILE_BYTES = 64 * 2**20
_TOO_LARGE = f"file larger than {MAX_FILE_BYTES // 2**20} MiB"
_JPEG_START, _JPEG_SCAN, _JPEG_END = b"\xff\xd8\xff", b"\xff\xda", b"\xff\xd9"
_JPEG_MARKER = re.compile(rb"\xff+([^\xff\0])")
_PROGRESSIVE = frozenset({b"\xc2", b"\xca"})
_JPEG_FRAMES = frozenset({b"\xc0", b"\xc1", b"\xc9"}) | _PROGRESSIVE
# frames, tables (Huffman, arithmetic, quantisation, lines, restart interval), the scan, applications' data, comments
_JPEG_SEGMENTS = _JPEG_FRAMES | {bytes([code]) for code in (0xC4, 0xCC, *range(0xDA, 0xDE), *range(0xE0, 0xF0), 0xFE)}
_JPEG_FRAME_BYTES = 9
_PNG_START = b"\x89PNG\r\n\x1a\n"
_PNG_DEPTH_OFFSET = 24

# Far beyond every camera's files. Decoders take time with the number of segments, with the square of the metadata's
# size, and with the number of scans times that of pixels: a small file could hold up a run for hours.
_MAX_JPEG_SEGMENTS, _MAX_JPEG_METADATA, _MAX_JPEG_SCANS = 1000, 4 * 2**20, 100
_MAX_PNG_CHUNKS = 20_000


class SheetError(ValueError):
    """A file that is no usable sheet; the message is a short reason."""


def read_plain_file(path: RawFile) -> bytes:
    """Read a regular file of at most 64 MiB; links, pipes and devices are refused without opening them.

    Raises:
        SheetError: The file is missing, unreadable, empty, too large, or no plain file.
        InputError: What stands at a URL cannot be reached.
    """
    data = _read_url(path) if is_url(path) else _read_path(path)
    if not data:
        raise SheetError("empty file")
    return data


def _read_url(url: str) -> bytes:
    try:
        data = read_url(url, MAX_FILE_BYTES)
    except FileNotFoundError as error:
        raise SheetError("cannot be opened (no such file)") from error
    if len(data) > MAX_FILE_BYTES:
        raise SheetError(_TOO_LARGE)
    return data


def _read_path(path: RawFile) -> bytes:
    # Asking the opened file as well leaves no gap in which it could be exchanged, and O_NONBLOCK keeps a pipe without
    # a writer from hanging the run. Windows knows neither flag.
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    try:
        mode = os.lstat(path).st_mode
        if stat.S_ISLNK(mode):
            raise SheetError("a link, not a plain file; copy the file here, or make the whole folder a link")
        if not stat.S_ISREG(mode):
            raise SheetError("not a plain file")
        descriptor = os.open(path, flags)
    except OSError as error:
        raise SheetError(f"cannot be opened ({error.strerror})") from error
    try:
        return _read_descriptor(descriptor)
    except OSError as error:
        raise SheetError(f"cannot be read ({error.strerror})") from error
    finally:
        os.close(descriptor)


def _read_descriptor(descriptor: int) -> bytes:
    status = os.fstat(descriptor)
    if not stat.S_ISREG(status.st_mode):
        raise SheetError("not a plain file")
    if status.st_size > MAX_FILE_BYTES:
        raise SheetError(_TOO_LARGE)
    with open(descriptor, "rb", closefd=False) as file:
        # No more than was announced, even of a file that is still being written.
        return file.read(status.st_size)


def is_image(data: bytes) -> bool:
    """Tell by its first bytes whether a file is a JPEG or PNG, the only ones that `decode_sheet` takes."""
    return data.startswith((_JPEG_START, _PNG_START))


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

    if not data:
        raise SheetError("empty file")
    if data.startswith(_JPEG_START):
        _check_jpeg(data, raw_size)
        pixels = _decode_jpeg(data, raw_size, tensor_size, channels)
    elif data.startswith(_PNG_START):
        pixels = _decode_png(_open_png(data, raw_size), channels)
    else:
        raise SheetError("neither a JPEG nor a PNG")
    height, width = tensor_size
    if pixels.shape[:2] != (height, width):
        pixels = np.asarray(cv2.resize(pixels, (width, height), interpolation=cv2.INTER_AREA), dtype=np.uint8)
    return np.ascontiguousarray(pixels.reshape(height, width, channels).transpose(2, 0, 1))


def _check_size(size: tuple[int, int], raw_size: tuple[int, int]) -> None:
    if size != tuple(raw_size):  # a list, where it comes straight from the parameters
        raise SheetError(f"{size[0]}x{size[1]}, expected {raw_size[0]}x{raw_size[1]}")


def _check_jpeg(data: bytes, raw_size: tuple[int, int]) -> None:
    """Refuse, before any pixel is decoded, a JPEG that is cut short, would take very long, or is no raw sheet.

    Read here and not by a library: Pillow's way to the same numbers takes a tenth of the decoding.
    """
    # Pictures cut short decode silently to half a picture in some versions of OpenCV. The end marker alone is no
    # proof, a thumbnail has one too: no scan may follow it.
    end = data.rfind(_JPEG_END)
    if end < 0 or _JPEG_SCAN in data[end:]:
        raise SheetError("truncated JPEG")
    frame, scan = _find_jpeg_frame(data)
    # marker, length (2 bytes), bits a sample, height (2), width (2), number of components
    if len(frame) < _JPEG_FRAME_BYTES:
        raise SheetError("header cannot be read")
    bits, height, width, components = frame[3], *struct.unpack(">HHB", frame[4:9])
    _check_size((height, width), raw_size)
    if bits != 8 or components not in (1, 3):
        mode = {1: "L", 3: "RGB", 4: "CMYK"}.get(components, f"of {components} channels")
        raise SheetError(f"colour mode {'' if bits == 8 else f'{bits}-bit '}{mode}, expected 8-bit grey or RGB")
    # Decoders look for further scans if the picture is progressive, or the first has not all components.
    several = frame[:1] in _PROGRESSIVE or scan != components
    if several and data.count(_JPEG_SCAN) > _MAX_JPEG_SCANS:
        raise SheetError(f"JPEG with more than {_MAX_JPEG_SCANS} scans")


def _find_jpeg_frame(data: bytes) -> tuple[bytes, int | None]:
    """Walk through a JPEG's segments to its first scan: the start of its frame, and the scan's number of components."""
    position, frame = len(_JPEG_START) - 1, b""
    for _ in range(_MAX_JPEG_SEGMENTS):
        marker = _JPEG_MARKER.search(data, position)
        if marker is None or marker[1] not in _JPEG_SEGMENTS:
            raise SheetError("header cannot be read")
        position = marker.end()
        if position > _MAX_JPEG_METADATA:
            raise SheetError(f"JPEG with more than {_MAX_JPEG_METADATA // 2**20} MiB of metadata")
        if marker[1] == _JPEG_SCAN[1:]:
            return frame, next(iter(data[position + 2 : position + 3]), None)
        if marker[1] in _JPEG_FRAMES:
            frame = data[position - 1 : position - 1 + _JPEG_FRAME_BYTES]
        position += int.from_bytes(data[position : position + 2], "big")
    raise SheetError(f"JPEG with more than {_MAX_JPEG_SEGMENTS} segments")


def _open_png(data: bytes, raw_size: tuple[int, int]) -> "Image":
    """Check size, mode and completeness before any pixel is decoded."""
    from PIL import Image

    _check_png_structure(data)
    try:
        image = Image.open(io.BytesIO(data), formats=("PNG",))
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise SheetError("far larger than any sheet") from error
    except Exception as error:  # broken headers make Pillow raise many types
        raise SheetError("header cannot be read") from error

    _check_size((image.height, image.width), raw_size)
    sixteen_bit = data[_PNG_DEPTH_OFFSET] == 16
    if sixteen_bit or image.mode not in ("L", "LA", "RGB", "RGBA"):
        mode = f"16-bit {image.mode}" if sixteen_bit else image.mode
        raise SheetError(f"colour mode {mode}, expected 8-bit grey or RGB")
    return image


def _check_png_structure(data: bytes) -> None:
    """Refuse a PNG that was cut short, or whose chunks would keep a decoder busy for very long."""
    position = len(_PNG_START)
    for _ in range(_MAX_PNG_CHUNKS):
        if position + 12 > len(data):  # the length, kind and check sum of a chunk
            raise SheetError("truncated PNG")
        if data[position + 4 : position + 8] == b"IEND":
            return
        position += 12 + int.from_bytes(data[position : position + 4], "big")
    raise SheetError(f"PNG with more than {_MAX_PNG_CHUNKS} chunks")


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
    # The decoder must agree with the header on the size.
    if pixels is None or pixels.shape[:2] != tuple(-(-side // reduction) for side in raw_size):
        raise SheetError("cannot be decoded")
    return np.asarray(pixels if channels == 1 else pixels[:, :, ::-1], dtype=np.uint8)


def _decode_png(image: "Image", channels: int) -> NDArray[np.uint8]:
    """Return ``[height, width]`` or ``[height, width, 3]`` in full; Pillow, unlike OpenCV, tells a broken stream."""
    try:
        return np.asarray(image.convert("L" if channels == 1 else "RGB"))
    except Exception as error:  # broken streams make Pillow raise many types
        raise SheetError("cannot be decoded") from error
