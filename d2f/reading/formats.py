"""Which formats are opened, told by their first bytes, and by which of Pillow's classes.

Pillow's own `Image.open` tries every decoder it has, some of which start other programs (PostScript),
and judges sizes by a limit that is global to the process. So each class is called by name here: only
formats of this list are ever opened, whatever a file's name says.
"""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import cast

from PIL import Image

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"}
    | {".heic", ".heif", ".hif", ".avif"}
)
"""Suffixes, in lower case, by which files are picked from a folder."""

_CLASSES = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
}

_MAGIC = {
    b"\xff\xd8\xff": "JPEG",
    b"\x89PNG\r\n\x1a\n": "PNG",
    b"GIF87a": "GIF",
    b"GIF89a": "GIF",
    b"II*\0": "TIFF",
    b"MM\0*": "TIFF",
    b"II+\0": "TIFF",
    b"MM\0+": "TIFF",
}

# Sizes of the header that follows a BMP's 14 bytes; "BM" alone begins many a text.
_BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
_HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}


def sniff(data: bytes) -> str | None:
    """Return the format that a file's first bytes announce, under Pillow's name, or None."""
    for magic, name in _MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in _BMP_HEADERS:
        return "BMP"
    return _sniff_boxes(data) if data[4:8] == b"ftyp" else None


def _sniff_boxes(data: bytes) -> str | None:
    """Tell AVIF from HEIF by the brands of the file type box (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(data[:4], "big"), 512)
    brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & _HEIF_BRANDS else None


def open_as(name: str, data: bytes) -> Image.Image:
    """Read the header of `data` with the decoder for `name`; pixels stay packed until ``load``.

    Raises
    ------
    ImportError
        Where this installation has no decoder for the format.
    Exception
        Whatever the decoder raises on a damaged header.
    """
    module, attribute = _CLASSES[name]
    opener = getattr(import_module(module), attribute)
    return cast(Image.Image, opener(BytesIO(data)))
