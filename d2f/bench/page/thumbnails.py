"""Small copies of images as data URIs; only on request, for a page travels and images may be private."""

from __future__ import annotations

import base64
import io

SIDE = 96


def thumbnail(path: str) -> str:
    """Return an ``<img>`` of a file, or nothing where it cannot be read."""
    from PIL import Image

    from d2f.api.inputs import ImageFile
    from d2f.reading.image import load_image

    image = load_image(path)
    if not isinstance(image, ImageFile):
        return ""
    small = Image.fromarray(image.pixels)
    small.thumbnail((SIDE, SIDE))
    buffer = io.BytesIO()
    small.save(buffer, "JPEG", quality=70)
    return f'<img alt="" src="data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode()}">'
