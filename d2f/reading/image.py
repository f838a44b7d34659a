"""A file to an `ImageFile`: bounded, opened by its first bytes, decoded, upright, in sRGB.

Everything here may be called from several threads at once, and leaves Pillow's settings as they are.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from PIL import Image

from d2f.api.arrays import Pixels
from d2f.api.inputs import ImageFile
from d2f.api.rows import Failure
from d2f.reading.bounds import Bounds
from d2f.reading.colour import srgb_pixels
from d2f.reading.depth import join_bytes, low_byte_tiles
from d2f.reading.formats import open_as, sniff
from d2f.reading.orientation import orientation, upright
from d2f.reading.quiet import quiet_pillow
from d2f.reading.source import Reserve, read_bytes
from d2f.reading.unread import ImageError, Unread

__all__ = ["Bounds", "ImageError", "Unread", "decode", "load_image", "read_image"]

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
    picture, tiles = image, low_byte_tiles(image)
    image.load()
    if tiles:
        low = open_as(name, data)
        low.tile = tiles  # type: ignore[attr-defined]
        low.load()
        picture = join_bytes(image, low)
    return upright(srgb_pixels(picture), orientation(image))


def _damaged(unread: Unread, error: Exception) -> ImageError:
    if isinstance(error, Image.DecompressionBombError):
        return _error(unread, "D2F306", str(error))
    said = " ".join(str(error).split())[:200] or "no reason given"
    return _error(unread, "D2F304", f"{unread.format} is damaged or truncated: {type(error).__name__}: {said}")


def _error(unread: Unread, code: str, message: str) -> ImageError:
    return ImageError(replace(unread, failure=Failure(code, message)))
