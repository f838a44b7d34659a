"""Everything that a file's container gives away, read without decoding the picture."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from PIL import Image

from d2f.api.rows import Failure
from d2f.data.facts.chroma import chroma_subsampling
from d2f.data.facts.jpeg_quality import jpeg_quality
from d2f.data.facts.metadata import metadata_kinds
from d2f.reading.bounds import Bounds
from d2f.reading.formats import open_as, sniff
from d2f.reading.quiet import quiet_pillow
from d2f.reading.source import read_bytes
from d2f.reading.unread import ImageError, Unread


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file's container says.

    Parameters
    ----------
    path : str
        The file.
    sha256 : str
        Of its bytes, 64 hexadecimal digits.
    bytes : int
        Its size.
    width, height : int
        In pixels, as the header states them.
    format : str
        Pillow's name; ``"WEBP lossless"`` where that is what it is.
    quality : int or None
        Of a JPEG, 1..100, as `d2f.data.facts.jpeg_quality` estimates it; None of other formats.
    chroma : str
        Chroma subsampling of a JPEG, such as ``"4:2:0"``; empty for other formats.
    metadata : tuple of str
        Which of `d2f.data.facts.metadata.KINDS` it carries.
    """

    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    quality: int | None = None
    chroma: str = ""
    metadata: tuple[str, ...] = ()

    @property
    def bytes_per_pixel(self) -> float:
        """Size of the file over the number of its pixels."""
        return self.bytes / max(1, self.width * self.height)


def read_facts(path: str) -> FileFacts:
    """Return the facts of a file; its header is read, the picture is not decoded.

    Raises
    ------
    ImageError
        D2F301 to D2F305 where the file cannot be read or its header is damaged.
    """
    return facts_of(read_bytes(path, Bounds()), path)


def facts_of(data: bytes, path: str = "") -> FileFacts:
    """Return the facts of a file's bytes.

    Raises
    ------
    ImageError
        D2F303 where they are no image that d2f opens, D2F304 where the header is damaged.
    """
    name, sha256 = sniff(data), hashlib.sha256(data).hexdigest()
    if name is None:
        raise ImageError(Unread(path, Failure("D2F303", "not an image in a format that d2f reads"), sha256))
    try:
        with quiet_pillow():
            return _facts(name, sha256, data, path)
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged header
        failure = Failure("D2F304", f"{name} is damaged or truncated: {type(error).__name__}: {error}")
        raise ImageError(Unread(path, failure, sha256, format=name)) from None


def _facts(name: str, sha256: str, data: bytes, path: str) -> FileFacts:
    image = open_as(name, data)
    quality, chroma = _compression(image)
    kinds = metadata_kinds(data, image)
    if name == "WEBP" and _is_lossless(data):
        name = "WEBP lossless"
    return FileFacts(path, sha256, len(data), image.width, image.height, name, quality, chroma, kinds)


def _compression(image: Image.Image) -> tuple[int | None, str]:
    tables, layers = getattr(image, "quantization", None), getattr(image, "layer", None)
    if not tables or not layers:
        return None, ""
    return jpeg_quality(tables).quality, chroma_subsampling([(across, down) for _, across, down, _ in layers])


def _is_lossless(data: bytes) -> bool:
    """Whether the picture of a WebP is in a chunk ``VP8L`` (RFC 9649, 2.6 and 2.7)."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False
