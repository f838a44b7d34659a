"""A set's files looked at one by one: facts, and where asked for the perceptual hash."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from d2f.api.errors import Problem
from d2f.api.inputs import Pixels
from d2f.api.rows import Failure
from d2f.data.dataset import Dataset
from d2f.images.formats import open_as, sniff
from d2f.images.read import Bounds, ImageError, Unread, quiet_pillow, read_bytes, read_image

_NAMES = {(1, 1): "4:4:4", (2, 1): "4:2:2", (1, 2): "4:4:0", (2, 2): "4:2:0", (4, 1): "4:1:1", (4, 2): "4:1:0"}


def chroma_subsampling(factors: Sequence[tuple[int, int]]) -> str:
    """Return the name of a JPEG's sampling factors.

    >>> chroma_subsampling([(2, 2), (1, 1), (1, 1)]), chroma_subsampling([(1, 1)])
    ('4:2:0', 'grey')
    """
    if len(factors) == 1:
        return "grey"
    (luma_x, luma_y), (chroma_x, chroma_y) = factors[0], factors[1]
    if luma_x % chroma_x or luma_y % chroma_y:
        return f"{luma_x}/{chroma_x}x{luma_y}/{chroma_y}"
    ratio = luma_x // chroma_x, luma_y // chroma_y
    return _NAMES.get(ratio, f"{ratio[0]}x{ratio[1]}")


# ITU-T T.81 (1992), Annex K, tables K.1 (luminance) and K.2 (chrominance), row by row.
_LUMINANCE = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMINANCE = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    *((99,) * 8 for _ in range(4)),
)


class Quality(NamedTuple):
    """A JPEG's quality on the scale of the Independent JPEG Group."""

    quality: int
    exact: bool


def jpeg_quality(tables: Mapping[int, Sequence[int]]) -> Quality:
    """Return the quality whose standard tables are nearest to a file's.

    The distance is the sum of absolute differences over the 64 entries of the first table (luminance) and, where
    there is one, of the second (chrominance); of two equally near qualities, the lower.

    >>> jpeg_quality({0: standard_tables()[91, 0], 1: standard_tables()[91, 1]})
    Quality(quality=92, exact=True)
    """
    if not tables:
        raise ValueError("a JPEG holds at least one quantisation table, got none")
    found = np.array([list(tables[number]) for number in sorted(tables)[:2]], dtype=np.int64)
    distances = np.abs(standard_tables()[:, : len(found)] - found).sum(axis=(1, 2))
    nearest = int(np.argmin(distances))
    return Quality(nearest + 1, not distances[nearest])


@cache
def standard_tables() -> NDArray[np.int64]:
    """Return the standard tables at qualities 1 to 100, shape (100, 2, 64), entries 1..255.

    A quality q scales the tables of ITU-T T.81, Annex K, by s = 5000 / q per cent below 50 and by 200 - 2 q from there
    on (integer division): clip((entry * s + 50) // 100, 1, 255).

    Source: Independent JPEG Group, libjpeg 6b, jcparam.c: jpeg_quality_scaling and jpeg_add_quant_table, baseline.
    """
    base = np.array([_LUMINANCE, _CHROMINANCE], dtype=np.int64).reshape(1, 2, 64)
    quality = np.arange(1, 101)
    scale = np.where(quality < 50, 5000 // quality, 200 - 2 * quality)[:, None, None]
    tables: NDArray[np.int64] = np.clip((base * scale + 50) // 100, 1, 255)
    return tables


KINDS = ("EXIF", "XMP", "ICC", "text", "C2PA")
"""Kinds of metadata, in the order in which they are named."""

_PNG_CHUNKS = {b"eXIf": "EXIF", b"iCCP": "ICC", b"caBX": "C2PA", b"tEXt": "text", b"zTXt": "text", b"iTXt": "text"}
_INFO = {"exif": "EXIF", "xmp": "XMP", "icc_profile": "ICC", "comment": "text"}
_XMP_KEYWORD = b"XML:com.adobe.xmp\0"


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


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file's container says."""

    path: str
    sha256: str
    bytes: int
    width: int
    height: int
    format: str
    quality: int | None = None
    chroma: str = ""
    metadata: tuple[str, ...] = ()


def read_facts(path: str) -> FileFacts:
    """Return the facts of a file; its header is read, the picture is not decoded."""
    return facts_of(read_bytes(path, Bounds()), path)


def facts_of(data: bytes, path: str = "") -> FileFacts:
    """Return the facts of a file's bytes."""
    name, sha256 = sniff(data), hashlib.sha256(data).hexdigest()
    if name is None:
        raise ImageError(Unread(path, Failure("D2F303", "not an image in a format that d2f reads"), sha256))
    try:
        with quiet_pillow():
            return _facts_of(name, sha256, data, path)
    except Exception as error:  # Pillow's decoders raise many kinds for a damaged header
        failure = Failure("D2F304", f"{name} is damaged or truncated: {type(error).__name__}: {error}")
        raise ImageError(Unread(path, failure, sha256, format=name)) from None


def _facts_of(name: str, sha256: str, data: bytes, path: str) -> FileFacts:
    image = open_as(name, data)
    quality: int | None = None
    chroma = ""
    if (tables := getattr(image, "quantization", None)) and (layers := getattr(image, "layer", None)):
        quality = jpeg_quality(tables).quality
        chroma = chroma_subsampling([(across, down) for _, across, down, _ in layers])
    found = set(_png_kinds(data) if image.format == "PNG" else _header_kinds(image))
    kinds = tuple(kind for kind in KINDS if kind in found)
    if name == "WEBP" and _is_lossless(data):
        name = "WEBP lossless"
    return FileFacts(path, sha256, len(data), image.width, image.height, name, quality, chroma, kinds)


def _is_lossless(data: bytes) -> bool:
    """Whether the picture of a WebP is in a chunk ``VP8L`` (RFC 9649, 2.6 and 2.7)."""
    at = 12
    while at + 8 <= len(data):
        if data[at : at + 4] in (b"VP8L", b"VP8 "):
            return data[at : at + 4] == b"VP8L"
        length = int.from_bytes(data[at + 4 : at + 8], "little")
        at += 8 + length + length % 2
    return False


BITS = 64
_SIDE = 32
_FLAT = 2.0
"""Least standard deviation of the 32 x 32 grey copy, in levels of 255, at which a hash means something."""


def perceptual_hash(pixels: Pixels) -> int | None:
    """Return the 64-bit DCT hash of a picture.

    The picture is brought to 32 x 32 grey levels by averaging; of its two-dimensional DCT-II the 8 x 8 coefficients
    of frequencies 1..8 are kept; a bit is set where the coefficient exceeds their median. Recompression, scaling and
    small changes of tone flip few of them.

    `pixels` shape (height, width, 3), uint8.

    Source: Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions", Upper Austria University of
    Applied Sciences, 2010, section 3.2.1.

    >>> from d2f.testing import camera_picture
    >>> picture = camera_picture(128, 128)
    >>> bin(perceptual_hash(picture) ^ perceptual_hash(picture[::2, ::2])).count("1") <= 6
    True
    """
    reduced = Image.fromarray(pixels).convert("L").resize((_SIDE, _SIDE), Image.Resampling.BOX)
    grey = np.asarray(reduced, dtype=np.float64)
    if grey.std() < _FLAT:
        return None
    # Rows 1..8 of the DCT-II of 32 points, shape (8, 32); a common factor moves no bit.
    frequency, place = np.arange(1, 9)[:, None], np.arange(_SIDE)[None]
    basis = np.cos(np.pi * frequency * (2 * place + 1) / (2 * _SIDE))
    low = (basis @ grey @ basis.T).ravel()
    return int.from_bytes(np.packbits(low > np.median(low)).tobytes(), "big")


@dataclass(frozen=True)
class Inspection:
    """A set and what was seen of its files; a hash is None where no picture was decoded, or it is flat."""

    images: Dataset
    facts: tuple[FileFacts, ...]
    hashes: tuple[int | None, ...]
    problems: tuple[Problem, ...]


def inspect(
    dataset: Dataset, decode: bool = False, workers: int = 1, tick: Callable[[], None] | None = None
) -> Inspection:
    """Look at every file of a set."""

    def look(path: str) -> tuple[FileFacts, int | None] | ImageError:
        try:
            if not decode:
                return read_facts(path), None
            image = read_image(path)
            return facts_of(image.data, path), perceptual_hash(image.pixels)
        except ImageError as error:
            return error

    kept, facts, hashes, problems = [], [], [], list[Problem]()
    with ThreadPoolExecutor(workers) as pool:
        for number, seen in enumerate(pool.map(look, (image.path for image in dataset))):
            if isinstance(seen, ImageError):
                problems += seen.problems
            else:
                kept.append(number)
                facts.append(seen[0])
                hashes.append(seen[1])
            if tick is not None:
                tick()
    return Inspection(dataset.select(kept), tuple(facts), tuple(hashes), tuple(problems))
