"""TIFF kinds that Pillow reads wrongly or not at all, read by tifffile; the rest stays with Pillow."""

from __future__ import annotations

import sys
from io import BytesIO
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from PIL import Image

BITS, COMPRESSION, PHOTOMETRIC, STRIPS, STRIP_BYTES, PLANAR, TILES, TILE_BYTES, FORMAT, TABLES = (
    258, 259, 262, 273, 279, 284, 324, 325, 339, 347,
)  # fmt: skip
WHITE_IS_ZERO, BLACK_IS_ZERO, RGB = 0, 1, 2
UNPACKABLE = (1, 8, 32946, 32773)
"""Compressions that tifffile undoes without further packages: none, deflate (two numbers), PackBits."""
UNSUPPORTED = {50001: "WebP", 50002: "JPEG XL", 34712: "JPEG 2000", 34887: "LERC", 33003: "JPEG 2000"}


class UnsupportedTiff(Exception):
    """A sound file of a kind that cannot be read here."""


def first(tags: Any, tag: int, default: int) -> int:
    """Return the first number of a tag, `default` where the tag is absent."""
    value = tags.get(tag, default)
    return int(value[0] if isinstance(value, tuple) else value)


def refuse_unsupported(image: Image.Image) -> None:
    """Raise `UnsupportedTiff` for a compression that Pillow's libtiff lacks, before libtiff prints about it."""
    packed = first(image.tag_v2, COMPRESSION, 1)  # type: ignore[attr-defined]
    if packed in UNSUPPORTED:
        raise UnsupportedTiff(f"TIFF packed with {UNSUPPORTED[packed]} is not read")


def white_is_zero(image: Image.Image) -> bool:
    """Whether zero stands for white in samples that Pillow does not turn round itself."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and first(tags, PHOTOMETRIC, BLACK_IS_ZERO) == WHITE_IS_ZERO


def sample_bits(image: Image.Image) -> int:
    """Return the bits a sample of an opened TIFF, 16 for other formats."""
    tags = getattr(image, "tag_v2", None)
    return 16 if tags is None else first(tags, BITS, 1)


def unsigned_32(image: Image.Image) -> bool:
    """Whether samples are unsigned integers of 32 bits, which Pillow reads as signed ones."""
    tags = getattr(image, "tag_v2", None)
    return tags is not None and first(tags, BITS, 1) == 32 and first(tags, FORMAT, 1) == 1


def misread(image: Image.Image) -> bool:
    """Whether Pillow would read an opened TIFF wrongly: separate planes of more than 8 bits, not packed by libtiff."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    separate = first(tags, PLANAR, 1) == 2 and len(image.getbands()) > 1
    return separate and first(tags, BITS, 1) > 8 and first(tags, COMPRESSION, 1) == 1


def swapped(image: Image.Image) -> bool:
    """Whether Pillow, before loading, is about to swap bytes that libtiff has brought into order already."""
    tile = next(iter(getattr(image, "tile", ())), None)
    if tile is None or tile.codec_name != "libtiff":
        return False
    raw = tile.args if isinstance(tile.args, str) else tile.args[0]
    return image.mode in ("F", "I") and raw.rstrip("SF").endswith("B") and sys.byteorder == "little"


def samples(data: bytes, page: int, most_pixels: int) -> tuple[NDArray[Any], NDArray[Any] | None]:
    """Return (colours (height, width, 1 or 3), alpha (height, width) or None) as uint16 of a page, by tifffile.

    Raises `UnsupportedTiff` for kinds that are not read, and what tifffile raises for a damaged file.
    """
    from tifffile import TiffFile

    with TiffFile(BytesIO(data)) as file:
        found: Any = file.pages[page]
        kind, packed = int(found.photometric), int(found.compression)
        if kind not in (WHITE_IS_ZERO, BLACK_IS_ZERO, RGB) or packed not in UNPACKABLE:
            raise UnsupportedTiff(f"TIFF of {found.bitspersample} bits a sample, packed as {packed}, is not read")
        if found.imagewidth * found.imagelength > most_pixels or found.imagedepth > 1:
            raise UnsupportedTiff(f"{found.imagewidth}x{found.imagelength} pixels, more than the {most_pixels} allowed")
        array = found.asarray()
        separate, extra = int(found.planarconfig) == 2, tuple(found.extrasamples or ())
    if array.ndim == 3 and separate:
        array = np.moveaxis(array, 0, -1)
    array = array[..., None] if array.ndim == 2 else array
    channels = 3 if kind == RGB else 1
    if array.ndim != 3 or array.shape[2] < channels:
        raise UnsupportedTiff(f"TIFF with samples of shape {array.shape} is not read")
    colours = to_16_bits(array[..., :channels])
    colours = 65535 - colours if kind == WHITE_IS_ZERO else colours
    # ExtraSamples 1 and 2: alpha, the first already multiplied into the colours (TIFF 6.0, section 18).
    alpha = to_16_bits(array[..., channels]) if extra and int(extra[0]) in (1, 2) else None
    if alpha is not None and int(extra[0]) == 1:
        share = np.maximum(alpha.astype(np.float64), 1)[..., None] / 65535
        colours = np.minimum(np.rint(colours / share), 65535).astype(np.uint16)
    return colours, alpha


def to_16_bits(values: NDArray[Any]) -> NDArray[np.uint16]:
    """Scale samples of any type to 0..65535.

    Unsigned integers span their type. Others state no white: it is 1 for floats within [0, 1], else 255 or 65535
    where all values fit; otherwise the values' own range is taken. What is not finite is black.
    """
    if values.dtype.kind == "b":
        return values.astype(np.uint16) * np.uint16(65535)
    if values.dtype.kind == "u" and values.dtype.itemsize <= 2:
        return values.astype(np.uint16) * np.uint16(257 if values.dtype.itemsize == 1 else 1)
    plane = np.nan_to_num(values.astype(np.float64), nan=0.0, posinf=0.0, neginf=0.0)
    low, high = float(plane.min()), float(plane.max())
    white = 1.0 if values.dtype.kind == "f" and high <= 1.0 else 255.0 if high <= 255.0 else 65535.0
    if values.dtype.kind == "u" and high > white:
        white = float(np.iinfo(values.dtype).max)
    if low < 0.0 or high > white:
        plane, white = plane - low, (high - low) or 1.0
    return np.rint(plane / white * 65535.0).astype(np.uint16)


def jpeg_strips(image: Image.Image, data: bytes) -> list[bytes]:
    """Return the JPEG streams of a TIFF with new-style JPEG compression, each with the shared tables."""
    tags = image.tag_v2  # type: ignore[attr-defined]
    if first(tags, COMPRESSION, 1) != 7:
        return []
    offsets, sizes = (
        (tags.get(STRIPS), tags.get(STRIP_BYTES)) if STRIPS in tags else (tags.get(TILES), tags.get(TILE_BYTES))
    )
    tables = tags.get(TABLES, b"")
    parts = [data[at : at + size] for at, size in zip(offsets or (), sizes or (), strict=False)]
    return [tables[:-2] + part[2:] if tables else part for part in parts]
