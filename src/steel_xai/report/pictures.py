"""Figures inside the page."""

import base64
import io
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL import Image

LARGE = 400_000
"""Bytes of a PNG above which it holds photographs, where a lossy picture is smaller and looks the same."""


def embed(path: Path) -> tuple[str, int, int]:
    """Encode a picture as a data URI, and measure it.

    Drawings are packed without loss; pictures of sheets at a quality at which the eye sees none, if that is smaller.

    Returns:
        The data URI, the width and the height in pixels.
    """
    from PIL import Image

    content, kind = path.read_bytes(), "png"
    with Image.open(io.BytesIO(content)) as picture:
        opaque = _on_white(picture)
    packing = {"quality": 88, "method": 2} if len(content) > LARGE else {"lossless": True, "quality": 0, "method": 1}
    packed = io.BytesIO()
    opaque.save(packed, "WEBP", **packing)
    if packed.tell() < len(content):
        content, kind = packed.getvalue(), "webp"
    uri = f"data:image/{kind};base64,{base64.b64encode(content).decode('ascii')}"
    return uri, opaque.width, opaque.height


def _on_white(picture: "Image.Image") -> "Image.Image":
    from PIL import Image

    if "A" not in picture.getbands():
        return picture.convert("RGB")
    ground = Image.new("RGB", picture.size, "white")
    ground.paste(picture, mask=picture.getchannel("A"))
    return ground
