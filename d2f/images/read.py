"""A file to an `ImageFile`: bounded, opened by its first bytes, decoded, upright, in sRGB.

Everything here may be called from several threads at once, and leaves Pillow's settings as they are.
"""

from __future__ import annotations

import hashlib
import logging
import os
import stat
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from importlib import import_module
from io import BytesIO
from typing import TYPE_CHECKING, cast

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import ImageFile, Pixels
from d2f.api.rows import Failure

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Bounds", "ImageError", "Unread", "decode", "load_image", "read_image"]


@dataclass(frozen=True, slots=True)
class Bounds:
    """Limits that are checked before a file is read and before it is decoded.

    The defaults take a photograph of 100 megapixels, be it a JPEG, an 8-bit TIFF (300 MB) or a
    16-bit TIFF (600 MB).

    Parameters
    ----------
    bytes : int
        The most bytes a file may hold, at least 1.
    pixels : int
        The most pixels (width times height) an image may hold, at least 1.
    """

    bytes: int = 640 * 2**20
    pixels: int = 128 * 2**20

    def __post_init__(self) -> None:
        if self.bytes < 1 or self.pixels < 1:
            raise ValueError(f"bounds must be at least 1, not bytes={self.bytes}, pixels={self.pixels}")


@dataclass(frozen=True, slots=True)
class Unread:
    """What stands in an image's place where a file could not be read.

    Parameters
    ----------
    path : str
        As the user wrote it.
    failure : Failure
        Code D2F301 to D2F306, and why.
    sha256 : str or None
        Digest of the file, where it was read to its end.
    width, height : int or None
        As the file's header states them, in pixels, before any rotation.
    format : str or None
        Pillow's name of the format, where the first bytes give it away.
    """

    path: str
    failure: Failure
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None


class ImageError(D2FError):
    """One file cannot be read as an image; other files are not affected.

    Parameters
    ----------
    unread : Unread
        What is known of the file; kept as an attribute.
    """

    def __init__(self, unread: Unread) -> None:
        self.unread = unread
        failure = unread.failure
        super().__init__(Problem(failure.code, f"{unread.path}: {failure.message}"), Exit.SOME_FAILED)


# A logger without any handler writes errors to the screen.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# warnings.catch_warnings swaps the whole list of filters and is not safe in threads: two that overlap
# can leave the wrong list behind. One entry, put in by the first reader and taken out by the last, is.
_lock = threading.Lock()
_readers = 0
_MODULES = r"(PIL|pillow_heif)(\.|$)"


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings raised inside Pillow while any thread is within this context.

    What they say (sizes, damaged metadata) is said again by d2f's own bounds and errors.
    """
    global _readers
    with _lock:
        _readers += 1
        if _readers == 1:
            warnings.filterwarnings("ignore", module=_MODULES)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _forget()


def _forget() -> None:
    for entry in list(warnings.filters):
        module = entry[3]
        if getattr(module, "pattern", module) == _MODULES:
            warnings.filters.remove(entry)  # type: ignore[attr-defined]


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
    return cast("Image.Image", opener(BytesIO(data)))


Reserve = Callable[[int], None]
"""Called with a number of bytes about to be held, before they are; may block."""

# Without O_NONBLOCK a FIFO that takes the file's place between stat and open would block for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: str, bounds: Bounds, reserve: Reserve | None = None) -> bytes:
    """Read a file whole.

    Parameters
    ----------
    path : str
    bounds : Bounds
    reserve : callable, optional
        Called with the file's size before it is read.

    Raises
    ------
    ImageError
        D2F301 where there is no regular, readable file; D2F302 where it is empty; D2F305 where it
        holds more than `bounds.bytes`.
    """
    try:
        size = _size(path, os.stat(path), bounds)
        if reserve is not None:
            reserve(size)
        with open(os.open(path, _FLAGS), "rb") as file:
            size = _size(path, os.fstat(file.fileno()), bounds)
            data = file.read(size + 1)
    except (OSError, ValueError) as error:
        raise _refused(path, "D2F301", getattr(error, "strerror", None) or str(error)) from None
    if len(data) != size:
        raise _refused(path, "D2F301", "the file changed while it was read")
    return data


def _size(path: str, status: os.stat_result, bounds: Bounds) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise _refused(path, "D2F301", "is a folder")
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "D2F301", "is not a regular file")
    if status.st_size == 0:
        raise _refused(path, "D2F302", "the file is empty")
    if status.st_size > bounds.bytes:
        raise _refused(path, "D2F305", f"{status.st_size} bytes, more than the {bounds.bytes} allowed")
    return status.st_size


def _refused(path: str, code: str, message: str) -> ImageError:
    return ImageError(Unread(path, Failure(code, message)))


_REDUCED_COPY = 254  # TIFF tag NewSubfileType; its lowest bit marks a reduced copy (TIFF 6.0, section 8)


def read_image(path: str, bounds: Bounds | None = None) -> ImageFile:
    """Read and decode one file.

    Parameters
    ----------
    path : str
        A regular file; pipes and devices are refused.
    bounds : Bounds, optional
        Limits on bytes and pixels.

    Raises
    ------
    ImageError
        A `D2FError` with code D2F301 to D2F306; its `unread` holds what is known of the file.
    """
    bounds = bounds or Bounds()
    return decode(read_bytes(path, bounds), path, bounds)


def load_image(path: str, bounds: Bounds | None = None, reserve: Reserve | None = None) -> ImageFile | Unread:
    """Read and decode one file, or say why not; raises for nothing that a file can cause.

    Parameters
    ----------
    path : str
    bounds : Bounds, optional
    reserve : callable, optional
        Called with the file's size before it is read, and with the pixels' size, both in bytes,
        before they are decoded.
    """
    bounds = bounds or Bounds()
    try:
        return decode(read_bytes(path, bounds, reserve), path, bounds, reserve)
    except ImageError as error:
        return error.unread


def decode(data: bytes, path: str = "", bounds: Bounds | None = None, reserve: Reserve | None = None) -> ImageFile:
    """Decode a file's bytes.

    Parameters
    ----------
    data : bytes
        The whole file. Its format is told by its first bytes; a wrong suffix does not matter.
    path : str
        For messages and for `ImageFile.path`.
    bounds : Bounds, optional
    reserve : callable, optional
        Called with the pixels' size in bytes before they are decoded.

    Returns
    -------
    ImageFile
        Its pixels are read-only. Of several frames or pages the first is taken.

    Raises
    ------
    ImageError
        D2F302, or D2F303 where the bytes are no format that d2f opens; D2F304 where the image is
        damaged; D2F305 and D2F306 where a bound is passed.
    """
    bounds = bounds or Bounds()
    unread = Unread(path, Failure("D2F303", "not an image in a format that d2f reads"))
    if not data:
        raise _error(unread, "D2F302", "the file is empty")
    if len(data) > bounds.bytes:
        raise _error(unread, "D2F305", f"{len(data)} bytes, more than the {bounds.bytes} allowed")
    name, sha256 = sniff(data), hashlib.sha256(data).hexdigest()
    unread = replace(unread, sha256=sha256, format=name)
    if name is None:
        raise ImageError(unread)
    with quiet_pillow():
        pixels, info = _decode(name, data, unread, bounds, reserve)
    height, width = pixels.shape[:2]
    return ImageFile(path, data, sha256, name, width, height, pixels, info)


def _decode(
    name: str, data: bytes, unread: Unread, bounds: Bounds, reserve: Reserve | None
) -> tuple[Pixels, dict[str, object]]:
    image = _open(name, data, unread)
    unread = replace(unread, width=image.width, height=image.height)
    _check_header(image, unread, bounds)
    if reserve is not None:
        reserve(3 * image.width * image.height)
    try:
        pixels = _pixels(name, data, image)
    except Exception as error:
        raise _damaged(unread, error) from None
    pixels.flags.writeable = False
    return pixels, {str(key): value for key, value in image.info.items()}


def _open(name: str, data: bytes, unread: Unread) -> Image.Image:
    try:
        return open_as(name, data)
    except ImportError as error:
        raise _error(unread, "D2F303", f"{name} cannot be decoded here: {error}") from None
    except Exception as error:
        raise _damaged(unread, error) from None


def _check_header(image: Image.Image, unread: Unread, bounds: Bounds) -> None:
    width, height = image.size
    if width * height > bounds.pixels:
        raise _error(unread, "D2F306", f"{width}x{height} pixels, more than the {bounds.pixels} allowed")
    if width < 1 or height < 1:
        raise _error(unread, "D2F304", f"the header states {width}x{height} pixels")
    if getattr(image, "tag_v2", {}).get(_REDUCED_COPY) in (1, 3, 5, 7):
        raise _error(unread, "D2F303", "holds a reduced copy first, as camera raw files do; develop it first")


def _pixels(name: str, data: bytes, image: Image.Image) -> Pixels:
    from d2f.images.colour import join_bytes, low_byte_tiles, orientation, srgb_pixels, upright

    picture, tiles = image, low_byte_tiles(image)
    image.load()
    if tiles:
        low = open_as(name, data)
        low.tile = tiles  # type: ignore[attr-defined]
        low.load()
        picture = join_bytes(image, low)
    return upright(srgb_pixels(picture), orientation(image))


def _damaged(unread: Unread, error: Exception) -> ImageError:
    from PIL.Image import DecompressionBombError

    if isinstance(error, DecompressionBombError):
        return _error(unread, "D2F306", str(error))
    said = " ".join(str(error).split())[:200] or "no reason given"
    return _error(unread, "D2F304", f"{unread.format} is damaged or truncated: {type(error).__name__}: {said}")


def _error(unread: Unread, code: str, message: str) -> ImageError:
    return ImageError(replace(unread, failure=Failure(code, message)))
