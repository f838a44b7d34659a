"""Small copies of images for reports: JPEG without any metadata."""

from __future__ import annotations

import base64
import io
from html import escape
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from d2f.api.inputs import Pixels


def small_jpeg(pixels: Pixels, side: int, quality: int = 70) -> bytes:
    """Return pixels as a JPEG whose longer side is at most `side` pixels."""
    from PIL import Image

    small, buffer = Image.fromarray(pixels), io.BytesIO()
    small.thumbnail((side, side))
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def thumbnail(path: str, side: int, quality: int = 70) -> bytes | None:
    """Return a JPEG whose longer side is at most `side` pixels; None where the image cannot be read."""
    from d2f.api.inputs import ImageFile
    from d2f.images.read import load_image

    image = load_image(path)
    return small_jpeg(image.pixels, side, quality) if isinstance(image, ImageFile) else None


def inline(path: str, side: int, quality: int = 70, otherwise: str = "") -> str:
    """Return an ``<img>`` that holds the thumbnail, or other HTML where the image cannot be read."""
    data = thumbnail(path, side, quality)
    return otherwise if data is None else embedded(data)


def embedded(data: bytes, words: str = "", kind: str = "jpeg") -> str:
    """Return an ``<img>`` that holds a file's bytes; `words` describe it to those who do not see it."""
    return f'<img alt="{escape(words)}" src="{data_address(data, kind)}">'


def data_address(data: bytes, kind: str) -> str:
    """Return the address that holds an image file's bytes itself."""
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
