"""The formats that `d2f attack` writes, and how: without loss wherever the format can."""

from __future__ import annotations

import io
import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, Exit

if TYPE_CHECKING:
    from d2f.api.arrays import Pixels


@dataclass(frozen=True, slots=True)
class Format:
    """One format: Pillow's name, the suffixes (the first is written), the encoder's settings."""

    pillow: str
    suffixes: tuple[str, ...]
    settings: Mapping[str, Any] = field(default_factory=dict)
    lossless: bool = True


FORMATS: Mapping[str, Format] = {
    "png": Format("PNG", (".png",)),
    "webp": Format("WEBP", (".webp",), {"lossless": True}),
    "tiff": Format("TIFF", (".tif", ".tiff"), {"compression": "tiff_adobe_deflate"}),
    "bmp": Format("BMP", (".bmp",)),
    "jpeg": Format("JPEG", (".jpg", ".jpeg"), {"quality": 95, "subsampling": "4:4:4"}, lossless=False),
}
"""Every format, by the name that ``--format`` takes."""


def by_suffix(path: str) -> Format | None:
    """Return the format that a path's suffix names, None where it names none."""
    suffix = os.path.splitext(path)[1].lower()
    return next((format for format in FORMATS.values() if suffix in format.suffixes), None)


def write_image(pixels: Pixels, path: str, overwrite: bool) -> None:
    """Write pixels in the format of the path's suffix, without metadata; the file is whole or not there.

    Parameters
    ----------
    pixels : numpy.ndarray, shape (height, width, 3), uint8
    path : str
        Its folder is made where it is missing.
    overwrite : bool
        Whether a file that is there may be replaced.

    Raises
    ------
    D2FError
        D2F004, exit code 1: it is there already, or cannot be written.
    """
    format = by_suffix(path)
    assert format is not None  # targets have known suffixes
    if not overwrite and os.path.lexists(path):
        raise D2FError.of("D2F004", f"{path}: it is there already", "--overwrite replaces it", exit=Exit.SOME_FAILED)
    try:
        data = _encoded(pixels, format)
        os.makedirs(os.path.dirname(path) or os.curdir, exist_ok=True)
        _replace(path, data)
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise D2FError.of("D2F004", f"{path}: it cannot be written: {reason}", exit=Exit.SOME_FAILED) from error


def _encoded(pixels: Pixels, format: Format) -> bytes:
    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format.pillow, **format.settings)
    return stream.getvalue()


def _replace(path: str, data: bytes) -> None:
    # Written beside its place and moved there, so that nobody ever sees half an image.
    folder, name = os.path.split(path)
    part = os.path.join(folder, f".{name}.{os.getpid()}.part")
    try:
        with open(part, "xb") as file:
            file.write(data)
        os.replace(part, path)
    except BaseException:
        with suppress(OSError):
            os.unlink(part)
        raise
