"""Small copies of images for reports."""

from __future__ import annotations

import base64
import io


def thumbnail(path: str, side: int, quality: int = 70) -> bytes | None:
    """Return a JPEG whose longer side is at most `side` pixels; None where the image cannot be read."""
    from PIL import Image

    from d2f.api.inputs import ImageFile
    from d2f.images.read import load_image

    image = load_image(path)
    if not isinstance(image, ImageFile):
        return None
    small, buffer = Image.fromarray(image.pixels), io.BytesIO()
    small.thumbnail((side, side))
    small.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def inline(path: str, side: int, quality: int = 70, otherwise: str = "") -> str:
    """Return an ``<img>`` that holds the thumbnail, or other HTML where the image cannot be read."""
    data = thumbnail(path, side, quality)
    if data is None:
        return otherwise
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(data).decode()}">'
