"""Image files with metadata blocks, written by the tests byte by byte."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import numpy as np
from d2f_provenance.reader import Provenance, ProvenanceOptions
from numpy.typing import NDArray
from PIL import Image

from d2f import Evidence

STAGE = Provenance(ProvenanceOptions())
TERMS = "http://cv.iptc.org/newscodes/digitalsourcetype/"
GENERATED = TERMS + "trainedAlgorithmicMedia"
PARAMETERS = (
    "a duck\nNegative prompt: fog\nSteps: 20, Sampler: Euler a, CFG scale: 7, Seed: 1, Size: 512x512, Model: some"
)
UUID = "2b6e053b-9a65-4ca9-9e13-b6f4465164d4"
NAMESPACES = (
    'xmlns:ext="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" xmlns:ps="http://ns.adobe.com/photoshop/1.0/"'
    ' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"'
    ' xmlns:dcterms="http://purl.org/dc/terms/" xmlns:note="http://ns.adobe.com/xmp/note/"'
    ' xmlns:mm="http://ns.adobe.com/xap/1.0/mm/" xmlns:tc="http://www.tc260.org.cn/ns/AIGC/1.0/"'
)


def picture(seed: int = 0, size: int = 48) -> Image.Image:
    """Return a small picture of smooth colour with some noise."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(40, 200, size)[:, None, None] + np.zeros((size, size, 3))
    return Image.fromarray((ramp + random.normal(0, 6, (size, size, 3))).clip(0, 255).astype(np.uint8))


def encoded(name: str, image: Image.Image | None = None, **options: Any) -> bytes:
    """Return a picture in one of Pillow's formats."""
    file = io.BytesIO()
    (image or picture()).save(file, name, **options)
    return file.getvalue()


def xmp(attributes: str = "", elements: str = "") -> bytes:
    """Return an XMP packet with one description."""
    return (
        '<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/">'
        '<rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        f'<rdf:Description rdf:about="" {NAMESPACES} {attributes}>{elements}</rdf:Description>'
        '</rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
    ).encode()


def segment(marker: int, body: bytes) -> bytes:
    """Return a JPEG segment."""
    return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body


def jpeg(*segments: bytes) -> bytes:
    """Return a JPEG with segments right after its start."""
    plain = encoded("JPEG")
    return plain[:2] + b"".join(segments) + plain[2:]


def jpeg_xmp(packet: bytes) -> bytes:
    """Return a JPEG with an XMP packet."""
    return jpeg(segment(0xE1, b"http://ns.adobe.com/xap/1.0/\0" + packet))


def exif(image: Image.Exif) -> bytes:
    """Return a JPEG with EXIF."""
    return encoded("JPEG", exif=image)


def exif_of(tags: dict[int, Any], details: dict[int, Any] | None = None) -> bytes:
    """Return a JPEG with EXIF tags of the first and of the EXIF directory."""
    block = Image.Exif()
    for tag, value in tags.items():
        block[tag] = value
    block.get_ifd(0x8769).update(details or {})
    return exif(block)


def chunk(name: bytes, body: bytes) -> bytes:
    """Return a PNG chunk."""
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(*chunks: bytes, image: Image.Image | None = None) -> bytes:
    """Return a PNG with chunks right after its header."""
    plain = encoded("PNG", image)
    return plain[:33] + b"".join(chunks) + plain[33:]


def text(key: str, value: str) -> bytes:
    """Return a PNG text chunk."""
    return chunk(b"tEXt", key.encode() + b"\0" + value.encode())


def riff(name: bytes, body: bytes) -> bytes:
    """Return a RIFF chunk."""
    return name + struct.pack("<I", len(body)) + body + b"\0" * (len(body) % 2)


def webp(*chunks: bytes) -> bytes:
    """Return a WebP with chunks at its end."""
    plain = encoded("WEBP") + b"".join(chunks)
    return plain[:4] + struct.pack("<I", len(plain) - 8) + plain[8:]


def pixels(data: bytes) -> NDArray[np.uint8]:
    """Return what Pillow decodes."""
    with Image.open(io.BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


def read(data: bytes, with_pixels: bool = False) -> list[Evidence]:
    """Return what the stage says of a file."""
    return list(STAGE.read(data, pixels(data) if with_pixels else None))


def alarms(data: bytes, with_pixels: bool = False) -> list[str]:
    """Return the statements that count for generation."""
    return [item.statement for item in read(data, with_pixels) if item.llr > 0]
