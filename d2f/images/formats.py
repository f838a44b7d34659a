"""Formats: recognised by a file's first bytes, the decoder of each, which frame is the picture, and damaged JPEG data.

libjpeg fills in the rest of JPEG data that end early or are broken inside, and only warns, which Pillow drops.
libjpeg-turbo is asked again through simplejpeg at an eighth of the size, where it reads every coded block and reports
its warnings.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

from d2f.api.inputs import Note

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
    (b"MZ", "a program", ""),
    (b"ID3", "a sound (MP3)", ""),
    (b"\0\5\x16\7", "a Mac's companion file (AppleDouble)", "the picture is the file without '._' before its name"),
    (b"{\\rtf", "a text document (RTF)", EXPORT),
    (b"\xd7\xcd\xc6\x9a", "a Windows metafile", EXPORT),
    (b"SIMPLE  =", "a FITS picture", CONVERT),
    (b"\x93NUMPY", "a NumPy array", "save it as PNG or TIFF"),
    (b"\x89PNG\n", "a PNG whose line ends were changed, as a transfer of text does", "transfer it again, as binary"),
    (b"\x89PNG\r\r", "a PNG whose line ends were changed, as a transfer of text does", "transfer it again, as binary"),
)
LOOKED_THROUGH = 1024
"""Bytes of an unknown file in which an image's beginning is looked for."""
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
    if data[4:8] != b"ftyp":
        return None
    # AVIF or HEIF, by the brands of the file type box (ISO/IEC 14496-12, 4.3).
    end = min(int.from_bytes(data[:4], "big"), 512)
    brands = {data[at : at + 4] for at in (8, *range(16, end, 4))}
    return "AVIF" if brands & {b"avif", b"avis"} else "HEIF" if brands & HEIF_BRANDS else None


def what_it_is(data: bytes) -> str:
    """Return, for a file that is no image d2f reads, what its first bytes say it is and what to do."""
    named = next(((what, todo) for magic, what, todo in OTHERS if data.startswith(magic)), None)
    if named is None and data[4:8] == b"ftyp":
        brand = data[8:12]
        named = BOXES.get(brand) or (("a film (MP4)", "take a frame from it") if brand in FILM_BRANDS else None)
    if named is None and data[:4] == b"RIFF":
        named = ("a film (AVI)", "take a frame from it") if data[8:12] == b"AVI " else ("a RIFF file", "")
    if named is None and data[128:132] == b"DICM":
        named = ("a DICOM picture", EXPORT)
    named = named or _hidden_image(data) or _text_format(data[:512].lstrip(b"\xef\xbb\xbf \t\r\n").lower())
    if named is None:
        return "not an image in a format that d2f reads"
    what, todo = named
    return f"{what}, not an image in a format that d2f reads" + (f"; {todo}" if todo else "")


def _hidden_image(data: bytes) -> tuple[str, str] | None:
    """Return that nothing but one byte is there, or that an image begins behind something else."""
    if not data.strip(data[:1]):
        return f"nothing but {data[0]:#04x} bytes, as broken downloads and cards leave", "fetch it again"
    found = [data.find(magic, 1, LOOKED_THROUGH) for magic in (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")]
    places = [at for at in found if at > 0]
    if not places:
        return None
    return f"other bytes with an image from byte {min(places)} on", "if that is the picture, cut off what precedes it"


def _text_format(start: bytes) -> tuple[str, str] | None:
    if start.startswith(b"version https://git-lfs"):
        return "a pointer of Git LFS", "git lfs pull brings the file itself"
    if start.startswith((b"data:image/", b"/9j/4aaqskzjrg", b"ivborw0kggo")):  # "\xff\xd8" and "\x89PNG" in base64
        return "an image in base64", "decode it first"
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


MOST_LOOKED_AT = 64
"""Frames beyond this are not looked at when the picture is chosen."""
REDUCED_COPY = 254
"""TIFF tag NewSubfileType; its lowest bit marks a reduced copy (TIFF 6.0, section 8)."""
CONTENT = 12.0
"""Standard deviation (levels) of a frame's grey values at which the first one is taken without looking further."""


def frame_count(image: Image.Image, name: str) -> int:
    """Return how many frames or pages a file holds, at least 1."""
    try:
        if name == "JPEG":
            found = image._getmp()  # type: ignore[attr-defined]
            return max(1, int(found.get(0xB001, 1))) if found else 1
        return max(1, int(getattr(image, "n_frames", 1)))
    except Exception:  # damaged tables of frames: the picture itself may be sound
        return 1


def select_frame(image: Image.Image, name: str) -> tuple[int, int, tuple[Note, ...]]:
    """Bring `image` to the frame that is the picture; return its number, the number of frames, and a note.

    Of TIFF pages the largest (reduced copies last); of those and of an animation's frames the first with content.
    A JPEG (MPO) keeps its first picture, HEIF its primary one.
    """
    count = frame_count(image, name)
    if count == 1:
        return 0, 1, ()
    chosen = image.tell()
    if name == "TIFF":
        chosen = _first_with_content(image, _largest_pages(image, min(count, MOST_LOOKED_AT)))
    elif name in ("GIF", "WEBP", "PNG", "AVIF"):
        chosen = _first_with_content(image, range(min(count, MOST_LOOKED_AT)))
    if image.tell() != chosen:
        image.seek(chosen)
    word = {"TIFF": "pages", "JPEG": "pictures", "HEIF": "pictures"}.get(name, "frames")
    message = f"the file holds {count} {word}; number {chosen + 1} was judged"
    return chosen, count, (Note("one-of-several", message),)


def _largest_pages(image: Image.Image, count: int) -> Sequence[int]:
    """Return the pages of the largest size, in their order; at least the first page."""
    sizes = []
    for number in range(count):
        try:
            image.seek(number)
        except Exception:  # a page that cannot be opened is not the picture
            break
        reduced = int(image.tag_v2.get(REDUCED_COPY, 0)) & 1  # type: ignore[attr-defined]
        sizes.append((1 - reduced, image.width * image.height))
    most = max(sizes, default=None)
    return [number for number, size in enumerate(sizes) if size == most] or [0]


def _first_with_content(image: Image.Image, numbers: Sequence[int]) -> int:
    """Return the first frame with at least half the contrast of the richest: a fade-in's first frames have little."""
    if len(numbers) == 1:
        return numbers[0]
    from PIL import ImageStat

    contrast: list[float] = []
    for number in numbers:
        try:
            image.seek(number)
            grey = image.convert("L").reduce(max(1, min(image.size) // 64))
            contrast.append(float(ImageStat.Stat(grey).stddev[0]))
        except Exception:  # a damaged frame: those before it decide
            break
        if contrast[0] >= CONTENT:
            return number
    most = max(contrast, default=0.0)
    return next((number for number, value in zip(numbers, contrast, strict=False) if value >= most / 2), numbers[0])


START_OF_SCAN, END_OF_IMAGE = 0xDA, 0xD9
HUFFMAN_DCT = (0xC0, 0xC1, 0xC2)
"""Baseline, extended and progressive; other processes are not asked (their scaled decoding is not safe)."""
NOT_FRAMES = (0xC4, 0xC8, 0xCC)
HARMLESS = "extraneous bytes before marker"
"""A warning after which every block was decoded as it was coded."""


def frame_header(data: bytes) -> tuple[int, int] | None:
    """Return the coding process (SOFn, 0xC0 to 0xCF) and the bits a sample of a JPEG, None where there is no header."""
    at = 2
    while at + 9 < len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
        elif marker == 0x01 or 0xD0 <= marker <= 0xD8:
            at += 2
        elif marker in (START_OF_SCAN, END_OF_IMAGE):
            return None
        elif 0xC0 <= marker <= 0xCF and marker not in NOT_FRAMES:
            return marker, data[at + 4]
        else:
            at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def jpeg_warning(data: bytes) -> str | None:
    """Return libjpeg's warning about a JPEG's coded data, None where there is none (or it cannot be asked)."""
    header = frame_header(data)
    if header is None or header[0] not in HUFFMAN_DCT or header[1] != 8:
        return None
    from simplejpeg import decode_jpeg

    try:
        decode_jpeg(data, "GRAY", min_height=1, min_width=1, strict=True)
    except ValueError as error:
        text = str(error)
        if not text.startswith("Corrupt JPEG data"):
            return None
        warning = text.removeprefix("Corrupt JPEG data: ")
        return _hole(data, warning) or warning
    return None


LEAST_HOLE = 64
DECODED_OF_A_HOLE = 16


def _hole(data: bytes, warning: str) -> str | None:
    """Return that a hole was decoded as if it were coded data: what a card or a broken download leaves.

    A run of one byte is a hole where it is longer than the bytes that the decoder had left over: it ate the others.
    """
    if HARMLESS not in warning:
        return None
    words = warning.split()
    left_over, marker = int(words[0]), int(words[-1], 16)
    scan = data.find(bytes((0xFF, START_OF_SCAN)))
    runs = re.finditer(rb"(.)\1{%d,}(?=\xff%b)" % (LEAST_HOLE - 1, re.escape(bytes((marker,)))), data[scan:], re.DOTALL)
    run = max((len(found[0]) for found in runs), default=0)
    least = max(left_over + DECODED_OF_A_HOLE, LEAST_HOLE)
    return f"a run of {run} equal bytes in place of coded data" if run >= least else None


LEAST_HOLES = {"AVIF": 64, "HEIF": 64, "WEBP": 4096}
"""Zeros in a row that coded data do not have: AV1 and HEVC reached 16, VP8 300 on pictures of one colour."""


def zeros_in_coded_data(name: str, data: bytes, exif: object) -> int:
    """Return the longest run of zero bytes in a file's coded data that is too long for its format, 0 where none is.

    Their decoders fill in what a lost block held without an error. EXIF may hold zeros and is left out.
    """
    least = LEAST_HOLES.get(name)
    if least is None:
        return 0
    start = data.find(b"VP8") if name == "WEBP" else data.find(b"mdat")
    body = data[max(0, start) :]
    if isinstance(exif, bytes) and len(exif) > 6:
        body = body.replace(exif.removeprefix(b"Exif\0\0"), b"\1")
    return max((len(run[0]) for run in re.finditer(rb"\0{%d,}" % least, body)), default=0)
