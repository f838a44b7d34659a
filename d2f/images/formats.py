"""Formats recognised by a file's first bytes, and the decoder of each."""

from __future__ import annotations

from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

if TYPE_CHECKING:
    from PIL import Image

SUFFIXES = frozenset(
    {".jpg", ".jpeg", ".jpe", ".jfif", ".mpo", ".png", ".apng", ".webp", ".tif", ".tiff", ".gif", ".bmp", ".dib"}
    | {".heic", ".heif", ".hif", ".avif"}
)
"""Suffixes, in lower case, by which files are picked from a folder."""

RAW_SUFFIXES = frozenset(
    {".3fr", ".arw", ".cr2", ".cr3", ".crw", ".dcr", ".dng", ".erf", ".fff", ".gpr", ".iiq", ".kdc", ".mef", ".mos"}
    | {".mrw", ".nef", ".nrw", ".orf", ".pef", ".raf", ".raw", ".rw2", ".rwl", ".sr2", ".srf", ".srw", ".x3f"}
)
"""Suffixes of camera raws: many are TIFF files that begin with a preview."""

DECODERS = {
    "JPEG": ("PIL.JpegImagePlugin", "JpegImageFile"),
    "PNG": ("PIL.PngImagePlugin", "PngImageFile"),
    "WEBP": ("PIL.WebPImagePlugin", "WebPImageFile"),
    "TIFF": ("PIL.TiffImagePlugin", "TiffImageFile"),
    "GIF": ("PIL.GifImagePlugin", "GifImageFile"),
    "BMP": ("PIL.BmpImagePlugin", "BmpImageFile"),
    "AVIF": ("PIL.AvifImagePlugin", "AvifImageFile"),
    "HEIF": ("pillow_heif", "HeifImageFile"),
}
MAGIC = {
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
BMP_HEADERS = {12, 16, 40, 52, 56, 64, 108, 124}
HEIF_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm", b"hevs", b"mif1", b"msf1"}

CONVERT = "convert it to PNG or TIFF with the program that made it"
UNPACK = "unpack it first"
EXPORT = "export the picture from it"
DEVELOP = "develop it with a raw converter first"
OTHERS: tuple[tuple[bytes, str, str], ...] = (
    (b"PK\x03\x04", "a zip archive (or an office document)", UNPACK),
    (b"\x1f\x8b", "a gzip archive", UNPACK),
    (b"Rar!", "a RAR archive", UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "a 7-Zip archive", UNPACK),
    (b"%PDF", "a PDF document", EXPORT),
    (b"%!PS", "a PostScript document", EXPORT),
    (b"\xff\x0a", "a JPEG XL picture", CONVERT),
    (b"\0\0\0\x0cJXL ", "a JPEG XL picture", CONVERT),
    (b"\0\0\0\x0cjP  ", "a JPEG 2000 picture", CONVERT),
    (b"\xff\x4f\xff\x51", "a JPEG 2000 picture", CONVERT),
    (b"8BPS", "a Photoshop document", EXPORT),
    (b"gimp xcf", "a GIMP document", EXPORT),
    (b"v/1\x01", "an OpenEXR picture", CONVERT),
    (b"#?RADIANCE", "a Radiance HDR picture", CONVERT),
    (b"\0\0\1\0", "an icon", CONVERT),
    (b"FUJIFILMCCD-RAW", "a camera raw file (RAF)", DEVELOP),
    (b"IIRO", "a camera raw file (ORF)", DEVELOP),
    (b"IIU\0", "a camera raw file (RW2)", DEVELOP),
    (b"\x1aE\xdf\xa3", "a film (Matroska or WebM)", "take a frame from it"),
    (b"\x7fELF", "a program", ""),
)
BOXES = {b"crx ": ("a camera raw file (CR3)", DEVELOP), b"qt  ": ("a film (QuickTime)", "take a frame from it")}
FILM_BRANDS = (b"isom", b"mp41", b"mp42", b"avc1", b"M4V ", b"3gp4", b"3gp5")


def sniff(data: bytes) -> str | None:
    """Return the format that a file's first bytes announce, under Pillow's name, or None."""
    for magic, name in MAGIC.items():
        if data.startswith(magic):
            return name
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "WEBP"
    if data[:2] == b"BM" and int.from_bytes(data[14:18], "little") in BMP_HEADERS:
        return "BMP"
    return _sniff_boxes(data) if data[4:8] == b"ftyp" else None


def _sniff_boxes(data: bytes) -> str | None:
    """Distinguish AVIF from HEIF by the brands of the file type box (ISO/IEC 14496-12, 4.3)."""
    end = min(int.from_bytes(data[:4], "big"), 512)
    brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
    if brands & {b"avif", b"avis"}:
        return "AVIF"
    return "HEIF" if brands & HEIF_BRANDS else None


def what_it_is(data: bytes) -> str:
    """Return, for a file that is no image d2f reads, what its first bytes say it is and what to do."""
    named = next(((what, todo) for magic, what, todo in OTHERS if data.startswith(magic)), None)
    if named is None and data[4:8] == b"ftyp":
        brand = data[8:12]
        named = BOXES.get(brand) or (("a film (MP4)", "take a frame from it") if brand in FILM_BRANDS else None)
    if named is None and data[:4] == b"RIFF":
        named = ("a film (AVI)", "take a frame from it") if data[8:12] == b"AVI " else ("a RIFF file", "")
    named = named or _text(data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower())
    if named is None:
        return "not an image in a format that d2f reads"
    what, todo = named
    return f"{what}, not an image in a format that d2f reads" + (f"; {todo}" if todo else "")


def _text(start: bytes) -> tuple[str, str] | None:
    if start.startswith((b"<!doctype html", b"<html", b"<head")):
        return "an HTML page", "save the picture itself, not the page"
    if start.startswith(b"<svg") or (start.startswith(b"<?xml") and b"<svg" in start):
        return "an SVG drawing", "d2f judges photographs and pictures made of pixels"
    if start[:2] in (b"p1", b"p2", b"p3", b"p4", b"p5", b"p6") and start[2:3].isspace():
        return "a Netpbm picture", CONVERT
    if start and all(byte >= 32 or byte in b"\t\n\r\f" for byte in start) and not start.startswith(b"{\\rtf"):
        return "text", ""
    return None


def open_as(name: str, data: bytes) -> Image.Image:
    """Read the header of `data` with the decoder for `name`; pixels stay packed until ``load``.

    ImportError where this installation has no decoder for the format; else whatever the decoder raises.
    """
    module, attribute = DECODERS[name]
    opener = getattr(import_module(module), attribute)
    return cast("Image.Image", opener(BytesIO(data)))
