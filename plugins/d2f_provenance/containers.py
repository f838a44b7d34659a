"""Metadata blocks of image files, each from the place that its format gives it.

A block counts only in its own container: JPEG segments before the first scan, PNG chunks before IEND, WebP
chunks inside the RIFF size, boxes of HEIF and AVIF, tags of a TIFF's first directory, GIF extensions. Nothing
is searched for by substring, and bytes after the end of the image are not looked at.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

from d2f_provenance.tiff import Directory, read_directories

Kind: TypeAlias = Literal["exif", "xmp", "xmp-extension", "photoshop", "iim", "text", "c2pa"]

BLOCKS = 4096
"""The most blocks that are read of one file."""

BYTES = 32 * 2**20
"""The most bytes that the blocks of one file may hold together."""

PNG_CHUNKS = 2**18
"""The most chunks of a PNG that are walked over."""

GIF_BYTES = 16 * 2**20
"""Where the walk over a GIF ends."""

TEXT_BYTES = 4 * 2**20
"""The most bytes that one compressed text expands to; a longer one is cut there."""

_C2PA_BOX = bytes.fromhex("d8fec3d61b0e483c92975828877ec481")
"""Identifier of the box that holds a manifest in ISO base media files (C2PA technical specification)."""


@dataclass(frozen=True, slots=True)
class Block:
    """A piece of metadata and where it stands.

    Parameters
    ----------
    kind : str
        ``"photoshop"`` is a sequence of image resources, ``"iim"`` a sequence of IPTC datasets;
        ``"c2pa"`` only states that a manifest is there.
    source : str
        The container, such as ``"JPEG APP1"``.
    data : bytes
        The block without the container's own headers; UTF-8 or Latin-1 for ``"text"``.
    key : str
        Keyword of a text.
    """

    kind: Kind
    source: str
    data: bytes = field(default=b"", repr=False)
    key: str = ""


def read_blocks(data: bytes) -> list[Block]:
    """Return the metadata blocks of an image file; of a damaged one those before the damage.

    Parameters
    ----------
    data : bytes
        The whole file, of any format; one that is not known has no blocks.
    """
    blocks: list[Block] = []
    total = 0
    for block in _walk(data):
        total += 0 if block.data is data else len(block.data)
        if len(blocks) == BLOCKS or total > BYTES:
            break
        blocks.append(block)
    return blocks


def _walk(data: bytes) -> Iterator[Block]:
    if data.startswith(b"\xff\xd8\xff"):
        return _jpeg(data)
    if data.startswith(b"\x89PNG\r\n\x1a\n"):
        return _png(data)
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return _webp(data)
    if data[:6] in (b"GIF87a", b"GIF89a"):
        return _gif(data)
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return _tiff(data)
    return _media(data) if data[4:8] == b"ftyp" else iter(())


# JPEG


def _jpeg(data: bytes) -> Iterator[Block]:
    resources = []
    for marker, body in _segments(data):
        if marker == 0xE1 and body.startswith(b"Exif\0"):
            yield Block("exif", "JPEG APP1", body[6:])
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xap/1.0/\0"):
            yield Block("xmp", "JPEG APP1", body[29:])
        elif marker == 0xE1 and body.startswith(b"http://ns.adobe.com/xmp/extension/\0"):
            yield Block("xmp-extension", "JPEG APP1", body[35:])
        elif marker == 0xED and body.startswith(b"Photoshop 3.0\0"):
            resources.append(body[14:])
        elif marker == 0xEB and body.startswith(b"JP") and b"c2pa" in body[:64]:
            yield Block("c2pa", "JPEG APP11")
    if resources:
        yield Block("photoshop", "JPEG APP13", b"".join(resources))


def _segments(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield marker and payload of each segment between the start of the image and its first scan."""
    at = 2
    for _ in range(BLOCKS):
        fill = data[at : at + 64]
        at += max(0, len(fill) - len(fill.lstrip(b"\xff")) - 1)
        if data[at : at + 1] != b"\xff" or data[at + 1 : at + 2] in (b"", b"\xd9", b"\xda"):
            return
        marker, length = data[at + 1], int.from_bytes(data[at + 2 : at + 4], "big")
        end = at + 2 + length
        if length < 2 or end > len(data):
            return
        yield marker, data[at + 4 : end]
        at = end


# PNG


def _png(data: bytes) -> Iterator[Block]:
    for name, body in png_chunks(data):
        if name in (b"tEXt", b"zTXt", b"iTXt"):
            yield from _png_text(name, body)
        elif name == b"eXIf":
            yield Block("exif", "PNG eXIf", body)
        elif name == b"caBX":
            yield Block("c2pa", "PNG caBX")


def png_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of a PNG's whole chunks before IEND; an empty content for pixels and profiles."""
    at = 8
    for _ in range(PNG_CHUNKS):
        length, name = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        end = at + 12 + length
        if name in (b"IEND", b"") or end > len(data):
            return
        yield name, b"" if name in (b"IDAT", b"fdAT", b"iCCP") else data[at + 8 : end - 4]
        at = end


def _png_text(name: bytes, body: bytes) -> Iterator[Block]:
    keyword, _, rest = body.partition(b"\0")
    compressed = name == b"zTXt"
    if name == b"zTXt":
        rest = rest[1:]
    elif name == b"iTXt":
        compressed, rest = rest[:1] == b"\1", rest[2:].partition(b"\0")[2].partition(b"\0")[2]
    text = _inflate(rest) if compressed else rest
    key, source = keyword.decode("latin-1"), f"PNG {name.decode()}"
    if key == "XML:com.adobe.xmp":
        yield Block("xmp", source, text)
    elif key.startswith("Raw profile type "):
        yield from _raw_profile(key, source, text)
    else:
        yield Block("text", source, text, key)


def _inflate(data: bytes) -> bytes:
    """Return at most `TEXT_BYTES` of what a zlib stream expands to, nothing where it is damaged."""
    try:
        return zlib.decompressobj().decompress(data, TEXT_BYTES)
    except zlib.error:
        return b""


def _raw_profile(key: str, source: str, text: bytes) -> Iterator[Block]:
    """Yield the block that ImageMagick wrote as text: a name, a length, and hexadecimal digits, a line each."""
    parts = text.split(None, 2)
    try:
        data = bytes.fromhex(parts[2].decode("ascii")) if len(parts) == 3 else b""
    except ValueError:
        return
    kind = key.removeprefix("Raw profile type ").lower()
    if kind in ("exif", "app1") and data.startswith(b"Exif\0"):
        yield Block("exif", source, data[6:])
    elif kind in ("xmp", "app1"):
        yield Block("xmp", source, data.removeprefix(b"http://ns.adobe.com/xap/1.0/\0"))
    elif kind == "iptc":
        yield Block("photoshop" if data.startswith(b"8BIM") else "iim", source, data)


# WebP


def _webp(data: bytes) -> Iterator[Block]:
    at, end = 12, min(len(data), 8 + int.from_bytes(data[4:8], "little"))
    for _ in range(BLOCKS):
        name, length = data[at : at + 4], int.from_bytes(data[at + 4 : at + 8], "little")
        if at + 8 + length > end:
            return
        if name == b"EXIF":
            yield Block("exif", "WebP", data[at + 8 : at + 8 + length].removeprefix(b"Exif\0\0"))
        elif name == b"XMP ":
            yield Block("xmp", "WebP", data[at + 8 : at + 8 + length])
        elif name == b"C2PA":
            yield Block("c2pa", "WebP C2PA")
        at += 8 + length + length % 2


# GIF


def _gif(data: bytes) -> Iterator[Block]:
    data = data[:GIF_BYTES]
    at = 13 + _colours(data[10:11])
    for _ in range(BLOCKS):
        if data[at : at + 1] == b"\x2c":
            at = _after_parts(data, at + 11 + _colours(data[at + 9 : at + 10]))
        elif data[at : at + 1] == b"\x21":
            start, end = at + 2, _after_parts(data, at + 2)
            identifier = data[start + 1 : start + 12] if data[at + 1 : at + 2] == b"\xff" else b""
            if identifier == b"XMP DataXMP":
                # The packet stands there as it is; 258 bytes after it lead any reader on (XMP, part 3).
                yield Block("xmp", "GIF", data[start + 12 : max(start + 12, end - 258)])
            elif identifier.startswith(b"C2PA_GIF"):
                yield Block("c2pa", "GIF C2PA")
            at = end
        else:
            return


def _colours(flags: bytes) -> int:
    """Return the bytes of the colour table that a flag byte announces."""
    return 3 << (flags[0] & 7) + 1 if flags and flags[0] & 0x80 else 0


def _after_parts(data: bytes, at: int) -> int:
    """Return where a sequence of length-prefixed parts ends."""
    while at < len(data) and data[at]:
        at += 1 + data[at]
    return at + 1


# TIFF


def _tiff(data: bytes) -> Iterator[Block]:
    yield Block("exif", "TIFF", data)
    directories = read_directories(data)
    if not directories:
        return
    first = directories[0]
    kinds: dict[int, Kind] = {700: "xmp", 33723: "iim", 34377: "photoshop", 0xCD41: "c2pa"}
    for tag, kind in kinds.items():
        if tag in first:
            yield Block(kind, f"TIFF tag {tag}", b"" if kind == "c2pa" else _value(first, tag))


def _value(directory: Directory, tag: int) -> bytes:
    value = directory.get(tag, b"")
    return value if isinstance(value, bytes) else b""


# HEIF and AVIF: ISO base media boxes


def _media(data: bytes) -> Iterator[Block]:
    for name, start, end in _boxes(data, 0, len(data)):
        if name == b"uuid" and data[start : start + 16] == _C2PA_BOX:
            yield Block("c2pa", "HEIF uuid")
        elif name == b"meta":
            yield from _items(data, start + 4, end)


def _boxes(data: bytes, at: int, stop: int) -> Iterator[tuple[bytes, int, int]]:
    """Yield name, start and end of each box between two places; a size of 0 means up to `stop`."""
    for _ in range(BLOCKS):
        if at + 8 > stop:
            return
        size, name, start = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8], at + 8
        if size == 1:
            size, start = int.from_bytes(data[at + 8 : at + 16], "big"), at + 16
        end = stop if size == 0 else at + size
        if end < start or end > stop:
            return
        yield name, start, end
        at = end


def _items(data: bytes, start: int, stop: int) -> Iterator[Block]:
    """Yield the metadata items that a `meta` box lists (ISO/IEC 14496-12, 8.11)."""
    inside = {name: (begin, end) for name, begin, end in _boxes(data, start, stop)}
    if b"iinf" not in inside or b"iloc" not in inside:
        return
    idat = inside.get(b"idat", (0, 0))[0]
    places = _item_places(data, *inside[b"iloc"])
    for number, kind in _item_kinds(data, *inside[b"iinf"]):
        for is_inside, at, length in places.get(number, ()):
            begin = at + idat if is_inside else at
            body = data[begin : begin + length]
            if kind == "exif":
                body = body[4 + int.from_bytes(body[:4], "big") :]
            yield Block(kind, "HEIF", body.removeprefix(b"Exif\0\0"))


def _item_kinds(data: bytes, start: int, stop: int) -> Iterator[tuple[int, Kind]]:
    """Yield the numbers of the items that hold EXIF or XMP."""
    first = start + (6 if data[start : start + 1] == b"\0" else 8)
    for name, begin, end in _boxes(data, first, stop):
        version = data[begin : begin + 1]
        if name != b"infe" or version not in (b"\2", b"\3"):
            continue
        width = 2 if version == b"\2" else 4
        number = int.from_bytes(data[begin + 4 : begin + 4 + width], "big")
        kind, names = data[begin + 6 + width : begin + 10 + width], data[begin + 10 + width : end].split(b"\0")
        if kind == b"Exif":
            yield number, "exif"
        elif kind == b"mime" and names[1:2] == [b"application/rdf+xml"]:
            yield number, "xmp"


def _item_places(data: bytes, start: int, stop: int) -> dict[int, list[tuple[bool, int, int]]]:
    """Return of each item whether it lies in `idat`, where it starts, and its length; one extent an item."""
    numbers = _Numbers(data, start, stop)
    version = numbers.take(1)
    numbers.take(3)
    sizes = numbers.take(2)
    offset, length, base, index = sizes >> 12, sizes >> 8 & 15, sizes >> 4 & 15, sizes & 15 if version else 0
    places: dict[int, list[tuple[bool, int, int]]] = {}
    for _ in range(min(numbers.take(4 if version > 1 else 2), BLOCKS)):
        number = numbers.take(4 if version > 1 else 2)
        method = numbers.take(2) & 15 if version else 0
        numbers.take(2)
        origin = numbers.take(base)
        for _ in range(min(numbers.take(2), 64)):
            numbers.take(index)
            place = (method == 1, origin + numbers.take(offset), numbers.take(length))
            if method < 2:
                places.setdefault(number, [place])
        if numbers.at > stop:
            break
    return places


@dataclass(slots=True)
class _Numbers:
    """Big-endian numbers read one after the other; 0 beyond the end."""

    data: bytes
    at: int
    stop: int

    def take(self, width: int) -> int:
        self.at += width
        return int.from_bytes(self.data[self.at - width : self.at], "big") if self.at <= self.stop else 0
