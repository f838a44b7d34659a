"""Which kinds of metadata a file carries."""

from __future__ import annotations

from collections.abc import Iterator

from PIL import Image

KINDS = ("EXIF", "XMP", "ICC", "text", "C2PA")
"""Kinds of metadata, in the order in which they are named."""

_PNG_CHUNKS = {b"eXIf": "EXIF", b"iCCP": "ICC", b"caBX": "C2PA", b"tEXt": "text", b"zTXt": "text", b"iTXt": "text"}
_INFO = {"exif": "EXIF", "xmp": "XMP", "icc_profile": "ICC", "comment": "text"}
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"


def metadata_kinds(data: bytes, image: Image.Image) -> tuple[str, ...]:
    """Return which of `KINDS` a file carries.

    Parameters
    ----------
    data : bytes
        The whole file.
    image : PIL.Image.Image
        The same file, its header read.
    """
    found = set(_png_kinds(data)) if image.format == "PNG" else set(_header_kinds(image))
    return tuple(kind for kind in KINDS if kind in found)


def _header_kinds(image: Image.Image) -> Iterator[str]:
    for key, kind in _INFO.items():
        if image.info.get(key):
            yield kind
    for marker, segment in getattr(image, "applist", ()):
        # C2PA keeps its manifest in JUMBF boxes in APP11 (ISO/IEC 19566-5; C2PA 2.1, A.3.1).
        if marker == "APP11" and b"jumb" in segment[:64]:
            yield "C2PA"


def _png_kinds(data: bytes) -> Iterator[str]:
    """Walk a PNG's chunks: text may well stand behind the picture, where a header's reader does not look."""
    at = 8
    while at + 8 <= len(data):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if name in _PNG_CHUNKS:
            is_xmp = name == b"iTXt" and data.startswith(_XMP_KEYWORD, at + 8)
            yield "XMP" if is_xmp else _PNG_CHUNKS[name]
        at += length + 12
