"""Pictures as files: what a detector that reads bytes is given."""

from __future__ import annotations

import hashlib
import io
from typing import TYPE_CHECKING

from d2f.api.inputs import ImageFile

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels

SUFFIXES = {"JPEG": ".jpg", "PNG": ".png", "WEBP": ".webp"}


def image_file(pixels: Pixels, name: str = "picture", format: str = "PNG", **save: object) -> ImageFile:
    """Return a picture as the engine would read it from a file; nothing is written.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    name : str
        The file's name, without its ending.
    format : {'PNG', 'JPEG', 'WEBP'}
    **save
        Further arguments of Pillow's ``Image.save``: ``quality``, ``exif``, ``pnginfo``, ….

    Examples
    --------
    >>> from d2f.testing import camera_picture
    >>> image_file(camera_picture(64, 64), "photo", "JPEG", quality=90).path
    'photo.jpg'
    """
    import numpy as np
    from PIL import Image

    written = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(written, format=format, **save)
    data = written.getvalue()
    with Image.open(io.BytesIO(data)) as opened:
        decoded = np.asarray(opened.convert("RGB"))
        info = {str(key): value for key, value in opened.info.items()}
    decoded.flags.writeable = False
    height, width = decoded.shape[:2]
    digest = hashlib.sha256(data).hexdigest()
    return ImageFile(f"{name}{SUFFIXES[format]}", data, digest, format, width, height, decoded, info)
