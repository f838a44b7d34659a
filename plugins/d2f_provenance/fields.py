"""Fields inside metadata blocks: EXIF tags, XMP properties by namespace URI, IPTC datasets, JSON in texts."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from xml.etree.ElementTree import Element

from d2f_provenance.containers import Block
from d2f_provenance.tiff import Directory, read_directories

XMP_BYTES = 4 * 2**20
"""The most bytes of XMP that are parsed."""

IPTC_EXT = "http://iptc.org/std/Iptc4xmpExt/2008-02-29/"
PHOTOSHOP = "http://ns.adobe.com/photoshop/1.0/"
XMP_BASIC = "http://ns.adobe.com/xap/1.0/"
XMP_NOTE = "http://ns.adobe.com/xmp/note/"
DCTERMS = "http://purl.org/dc/terms/"
AIGC = "http://www.tc260.org.cn/ns/AIGC/1.0/"

_RDF = "{http://www.w3.org/1999/02/22-rdf-syntax-ns#}"


# EXIF


@dataclass(frozen=True, slots=True)
class Exif:
    """The tags of one EXIF block that d2f reads; places and serial numbers are not among them.

    Parameters
    ----------
    source : str
        Where the block stands.
    tags : dict
        Tags of the first and the EXIF directory.
    thumbnail : bytes
        The JPEG thumbnail, or empty.
    """

    source: str
    tags: Directory
    thumbnail: bytes = b""

    def text(self, tag: int) -> str:
        """Return a text up to its first NUL, without surrounding blanks; empty where there is none."""
        value = self.tags.get(tag, b"")
        return decoded(value.partition(b"\0")[0]).strip() if isinstance(value, bytes) else ""

    def number(self, tag: int) -> int:
        """Return an integer, 0 where there is none."""
        value = self.tags.get(tag, 0)
        return value if isinstance(value, int) else 0

    def date(self, tag: int) -> datetime | None:
        """Return a date and time, None where there is none."""
        try:
            return datetime.strptime(self.text(tag)[:19], "%Y:%m:%d %H:%M:%S")
        except ValueError:
            return None

    @property
    def comment(self) -> str:
        """The user comment, decoded by its own statement of the character code (Exif 3.0)."""
        value = self.tags.get(0x9286, b"")
        if not isinstance(value, bytes):
            return ""
        code, body = value[:8], value[8:]
        if code == b"UNICODE\0":
            return _utf16(body).strip("\0 \n")
        return decoded(body if code in (b"ASCII\0\0\0", b"JIS\0\0\0\0\0", bytes(8)) else value).strip("\0 \n")


IMAGE_DESCRIPTION, MAKE, MODEL, ORIENTATION = 0x010E, 0x010F, 0x0110, 0x0112
SOFTWARE, MODIFIED, ARTIST, TAKEN = 0x0131, 0x0132, 0x013B, 0x9003
PIXEL_WIDTH, PIXEL_HEIGHT = 0xA002, 0xA003
_THUMBNAIL, _THUMBNAIL_LENGTH = 0x0201, 0x0202


def read_exif(blocks: Sequence[Block]) -> list[Exif]:
    """Return the EXIF blocks that hold a directory."""
    found = []
    for block in blocks:
        if block.kind == "exif" and (directories := read_directories(block.data)):
            second = directories[1] if len(directories) > 1 else {}
            at, length = second.get(_THUMBNAIL, 0), second.get(_THUMBNAIL_LENGTH, 0)
            thumbnail = block.data[at : at + length] if isinstance(at, int) and isinstance(length, int) else b""
            found.append(Exif(block.source, directories[0], thumbnail if len(thumbnail) < 2**20 else b""))
    return found


def _utf16(body: bytes) -> str:
    """Decode UTF-16 of unstated byte order: the one that gives more characters below U+0100."""
    texts = [body.decode(order, "replace") for order in ("utf-16-be", "utf-16-le")]
    return max(texts, key=lambda text: sum(letter < "\u0100" for letter in text[:1000]))


def decoded(data: bytes) -> str:
    """Decode UTF-8, or Latin-1 where it is none."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return data.decode("latin-1")


# XMP


@dataclass(frozen=True, slots=True)
class Xmp:
    """The properties of one XMP packet, by namespace URI and name; only those of the picture itself."""

    source: str
    properties: Mapping[tuple[str, str], Sequence[str]]

    def get(self, namespace: str, name: str) -> str:
        """Return the first value of a property, without surrounding blanks; empty where there is none."""
        values = self.properties.get((namespace, name), ())
        return values[0].strip() if values else ""


def read_xmp(blocks: Sequence[Block]) -> list[Xmp]:
    """Return the XMP packets of a file, and the extended one where all of it is there."""
    packets = [(block.source, block.data) for block in blocks if block.kind == "xmp"]
    found = [Xmp(source, _properties(packet)) for source, packet in packets]
    for xmp in tuple(found):
        if identifier := xmp.get(XMP_NOTE, "HasExtendedXMP"):
            packet = _extended(blocks, identifier.encode("ascii", "replace"))
            found.append(Xmp(f"{xmp.source} extended", _properties(packet)))
    return [xmp for xmp in found if xmp.properties]


def _extended(blocks: Sequence[Block], identifier: bytes) -> bytes:
    """Join the parts of an extended packet: 32 digits, its length, the part's offset, the part (XMP, part 3)."""
    parts: dict[int, bytes] = {}
    for block in blocks:
        if block.kind == "xmp-extension" and block.data[:32] == identifier:
            parts[int.from_bytes(block.data[36:40], "big")] = block.data[40:]
    packet = b""
    for offset in sorted(parts):
        if offset != len(packet):
            return b""
        packet += parts[offset]
    return packet


def _properties(packet: bytes) -> dict[tuple[str, str], list[str]]:
    """Return the properties that stand right in the packet's descriptions, not in structures within them."""
    from defusedxml import DefusedXmlException
    from defusedxml.ElementTree import fromstring

    packet = packet.strip(b"\0 \r\n\t")
    if not 0 < len(packet) <= XMP_BYTES:
        return {}
    try:
        root = fromstring(packet, forbid_dtd=True)
    except (SyntaxError, ValueError, LookupError, DefusedXmlException):
        return {}
    rdf = root if root.tag == f"{_RDF}RDF" else root.find(f"{_RDF}RDF")
    found: dict[tuple[str, str], list[str]] = {}
    for description in () if rdf is None else rdf.findall(f"{_RDF}Description"):
        for tag, value in description.items():
            found.setdefault(_name(tag), []).append(value)
        for element in description:
            found.setdefault(_name(element.tag), []).extend(_values(element))
    return found


def _name(tag: str) -> tuple[str, str]:
    namespace, _, name = tag.removeprefix("{").rpartition("}")
    return namespace, name


def _values(element: Element) -> Iterator[str]:
    """Yield a simple value, a reference, or the items of a list."""
    if resource := element.get(f"{_RDF}resource"):
        yield resource
    elif len(element) == 0:
        yield element.text or ""
    for group in element:
        for item in group.findall(f"{_RDF}li"):
            yield item.get(f"{_RDF}resource") or item.text or ""


# IPTC


def read_iim(blocks: Sequence[Block]) -> list[tuple[str, int, int, bytes]]:
    """Return source, record, dataset number and value of each IPTC-IIM dataset (IIM 4.2)."""
    found = []
    for block in blocks:
        if block.kind == "photoshop":
            parts = [part for number, part in _resources(block.data) if number == 0x0404]
        else:
            parts = [block.data] if block.kind == "iim" else []
        for part in parts:
            found += [(block.source, *dataset) for dataset in _datasets(part)]
    return found


def _resources(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Yield number and content of Photoshop's image resources."""
    at = 0
    while data[at : at + 4] == b"8BIM":
        number, name = int.from_bytes(data[at + 4 : at + 6], "big"), data[at + 6 : at + 7]
        start = at + 6 + ((name[0] if name else 0) + 2 & ~1)
        length = int.from_bytes(data[start : start + 4], "big")
        if start + 4 + length > len(data):
            return
        yield number, data[start + 4 : start + 4 + length]
        at = start + 4 + length + length % 2


def _datasets(data: bytes) -> Iterator[tuple[int, int, bytes]]:
    at = 0
    while data[at : at + 1] == b"\x1c" and at + 5 <= len(data):
        length = int.from_bytes(data[at + 3 : at + 5], "big")
        if length & 0x8000 or at + 5 + length > len(data):  # lengths of more than 15 bits are not read
            return
        yield data[at + 1], data[at + 2], data[at + 5 : at + 5 + length]
        at += 5 + length


# JSON


def as_object(text: str) -> dict[str, Any]:
    """Return a JSON object, empty where the text is none."""
    text = text.strip("\ufeff \r\n\t\0")
    if not (text.startswith("{") and text.endswith("}")):
        return {}
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}
