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
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import Bounds, ImageFile, Note, Pixels
from d2f.api.rows import Failure
from d2f.files import other_spelling
from d2f.images.formats import (
    HARMLESS,
    REDUCED_COPY,
    frame_header,
    jpeg_warning,
    open_as,
    select_frame,
    sniff,
    what_it_is,
    zeros_in_coded_data,
)
from d2f.images.sources import SourceError, bytes_elsewhere

if TYPE_CHECKING:
    from PIL import Image

__all__ = ["Bounds", "ImageError", "Unread", "decode", "load_image", "read_image"]


@dataclass(frozen=True, slots=True)
class Unread:
    """What is known of a file that could not be read, in the place of an image.

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
        Pillow's name of the format, where the first bytes state it.
    data : bytes
        The file's bytes where they were read, for evidence readers; else empty.
    """

    path: str
    failure: Failure
    sha256: str | None = None
    width: int | None = None
    height: int | None = None
    format: str | None = None
    data: bytes = field(default=b"", repr=False)


class ImageError(D2FError):
    """One file cannot be read as an image; other files are not affected.

    Parameters
    ----------
    unread : Unread
        What is known of the file.
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
_stderr_lock = threading.RLock()
_readers = 0
_MODULES = r"(PIL|pillow_heif)(\.|$)"


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings raised inside Pillow while any thread is within this context.

    What they say (sizes, damaged metadata) is reported by d2f's own bounds and errors.
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
        if getattr(entry[3], "pattern", entry[3]) == _MODULES:
            warnings.filters.remove(entry)  # type: ignore[attr-defined]


@contextmanager
def quiet_libtiff(name: str) -> Iterator[None]:
    """Keep libtiff's own messages off file descriptor 2 while a TIFF is decoded; d2f's errors say the same."""
    if name != "TIFF":
        yield
        return
    with _stderr_lock:
        try:
            kept = os.dup(2)
        except OSError:  # nobody listens
            yield
            return
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, 2)
            yield
        finally:
            os.dup2(kept, 2)
            os.close(kept)
            os.close(nowhere)


Reserve = Callable[[int], None]
"""Called with a number of bytes about to be held, before they are; may block."""

# Without O_NONBLOCK a FIFO that takes the file's place between stat and open would block for ever.
_FLAGS = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_BINARY", 0)


def read_bytes(path: str, bounds: Bounds, reserve: Reserve | None = None) -> bytes:
    """Read a file whole, be it a member of an archive or an object; `reserve` is called with its size before.

    ImageError: D2F301 where there is no regular, readable file; D2F302 where it is empty; D2F305 where it holds more
    than `bounds.bytes`.
    """
    try:
        data = bytes_elsewhere(path, bounds.bytes, reserve=reserve)
    except SourceError as error:
        raise _refused(path, error.code, error.message) from None
    except D2FError as error:
        raise _refused(path, "D2F301", error.problems[0].message) from None
    if data is not None:
        return data
    try:
        size = _size(path, os.stat(path), bounds)
        if reserve is not None:
            reserve(size)
        with open(os.open(path, _FLAGS), "rb") as file:
            size = _size(path, os.fstat(file.fileno()), bounds)
            data = file.read(size + 1)
    except (OSError, ValueError) as error:
        said = [getattr(error, "strerror", None) or str(error), other_spelling(path)]
        raise _refused(path, "D2F301", "; ".join(filter(None, said))) from None
    if len(data) != size:
        raise _refused(path, "D2F301", "the file changed while it was read")
    return data


def _size(path: str, status: os.stat_result, bounds: Bounds) -> int:
    if stat.S_ISDIR(status.st_mode):
        raise _refused(path, "D2F301", _folder(path))
    if not stat.S_ISREG(status.st_mode):
        raise _refused(path, "D2F301", "is not a regular file")
    if status.st_size == 0:
        raise _refused(path, "D2F302", "the file is empty")
    if status.st_size > bounds.bytes:
        raise _refused(path, "D2F305", f"{status.st_size} bytes, more than the {bounds.bytes} allowed")
    return status.st_size


def _folder(path: str) -> str:
    """Return why a folder was given as an image: mostly, because a search could not list it."""
    try:
        os.scandir(path).close()
    except OSError as error:
        return f"the folder cannot be listed: {error.strerror or error}"
    return "is a folder"


def _refused(path: str, code: str, message: str) -> ImageError:
    return ImageError(Unread(path, Failure(code, message)))


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
        The whole file. Its first bytes tell its format; a wrong suffix does not matter.
    path : str
        For messages and for `ImageFile.path`.
    bounds : Bounds, optional
    reserve : callable, optional
        Called with the pixels' size in bytes before they are decoded.

    Returns
    -------
    ImageFile
        Its pixels are read-only. Of several frames or pages one is taken (`d2f.images.formats`), which `notes` say.

    Raises
    ------
    ImageError
        D2F302, or D2F303 where the bytes are no image, or one of a kind that d2f does not read; D2F304 where the
        image is damaged; D2F305 and D2F306 where a bound is passed.
    """
    bounds = bounds or Bounds()
    unread = Unread(path, Failure("D2F303", "not an image in a format that d2f reads"))
    if not data:
        raise _error(unread, "D2F302", "the file is empty")
    if len(data) > bounds.bytes:
        more = "to allow more: --max-bytes of d2f chain run, --limit file_bytes=N of d2f serve"
        raise _error(unread, "D2F305", f"{len(data)} bytes, more than the {bounds.bytes} allowed; {more}")
    name, sha256 = sniff(data), hashlib.sha256(data).hexdigest()
    unread = replace(unread, sha256=sha256, format=name, data=data)
    if name is None:
        raise _error(unread, "D2F303", what_it_is(data))
    with quiet_pillow(), quiet_libtiff(name):
        pixels, info, frames, notes = _decode(name, data, unread, bounds, reserve)
    height, width = pixels.shape[:2]
    return ImageFile(path, data, sha256, name, width, height, pixels, info, frames=frames, notes=tuple(notes))


def _decode(
    name: str, data: bytes, unread: Unread, bounds: Bounds, reserve: Reserve | None
) -> tuple[Pixels, dict[str, object], int, list[Note]]:
    """Return pixels, Pillow's info, the number of frames, and notes."""
    notes: list[Note] = []
    if name == "JPEG" and (header := frame_header(data)) is not None and header[1] != 8:
        # The decoder would call it broken.
        raise _error(unread, "D2F303", f"JPEG of {header[1]} bits a sample is not read, only of 8")
    image = _open(name, data, unread)
    if image is None:
        return _deep_tiff(data, 0, unread, bounds, notes), {}, 1, notes
    unread = replace(unread, width=image.width, height=image.height)
    _check_size(image, unread, bounds)
    try:
        number, frames, said = select_frame(image, name)
    except Exception as error:
        raise _damaged_image(unread, error) from None
    unread = replace(unread, width=image.width, height=image.height)
    _check_size(image, unread, bounds)
    notes += said
    if reserve is not None:
        reserve(3 * image.width * image.height)
    info = {str(key): value for key, value in image.info.items()}
    # Only now: both decode, and a bound on pixels comes before that.
    if name == "JPEG":
        _check_jpeg(data, unread, notes)
    if name == "TIFF":
        _check_tiff(image, data, unread)
    lost = zeros_in_coded_data(name, data, image.info.get("exif"))
    if lost:
        notes.append(Note("damaged-file", f"{lost} zero bytes in a row in the {name} data, as lost blocks leave"))
    try:
        pixels = _pixels(name, data, image, number, unread, bounds, notes)
    except ImageError:
        raise
    except Exception as error:
        raise _damaged_image(unread, error) from None
    pixels.flags.writeable = False
    return pixels, info | {str(key): value for key, value in image.info.items()}, frames, notes


def _open(name: str, data: bytes, unread: Unread) -> Image.Image | None:
    """Return the opened image; None for a TIFF that only tifffile may know."""
    try:
        return open_as(name, data)
    except ImportError as error:
        raise _error(unread, "D2F303", f"{name} cannot be decoded here: {error}") from None
    except Exception as error:
        if name == "TIFF" and isinstance(error, SyntaxError):
            return None
        raise _damaged_image(unread, error) from None


def _check_size(image: Image.Image, unread: Unread, bounds: Bounds) -> None:
    width, height = image.size
    if width * height > bounds.pixels:
        more = "to allow more: --max-pixels of d2f chain run, --limit pixels=N of d2f serve"
        raise _error(unread, "D2F306", f"{width}x{height} pixels, more than the {bounds.pixels} allowed; {more}")
    if width < 1 or height < 1:
        raise _error(unread, "D2F304", f"the header states {width}x{height} pixels")


def _check_jpeg(data: bytes, unread: Unread, notes: list[Note]) -> None:
    """Refuse a JPEG whose coded data break off or are broken: libjpeg fills in the rest without an error."""
    warning = jpeg_warning(data)
    if warning is None:
        return
    if HARMLESS in warning:
        notes.append(Note("damaged-file", f"the JPEG data have errors ({warning}); every block was decoded"))
    else:
        raise _error(unread, "D2F304", f"JPEG is damaged or truncated: {warning}")


def _check_tiff(image: Image.Image, data: bytes, unread: Unread) -> None:
    from d2f.images.tiff import UnsupportedTiff, jpeg_strips, refuse_unsupported

    raw = data[8:10] == b"CR" or image.tag_v2.get(REDUCED_COPY) in (1, 3, 5, 7)  # type: ignore[attr-defined]
    if raw:
        raise _error(unread, "D2F303", "holds a reduced copy only, as camera raw files do; develop it first")
    try:
        refuse_unsupported(image)
    except UnsupportedTiff as error:
        raise _error(unread, "D2F303", str(error)) from None
    for strip in jpeg_strips(image, data):
        warning = jpeg_warning(strip)
        if warning is not None and HARMLESS not in warning:
            raise _error(unread, "D2F304", f"TIFF is damaged or truncated: {warning}")


def _pixels(
    name: str, data: bytes, image: Image.Image, number: int, unread: Unread, bounds: Bounds, notes: list[Note]
) -> Pixels:
    from d2f.images.colour import low_byte_tiles, orientation, srgb_from_16_bits, srgb_pixels, stated_encoding, upright
    from d2f.images.tiff import misread, swapped

    if name == "TIFF" and misread(image):
        return upright(_deep_tiff(data, number, unread, bounds, notes), orientation(image))
    encoding = stated_encoding(name, data, image.info)
    if encoding is not None:
        notes.append(
            Note("colours-converted", f"the file states {encoding.words}; converted to sRGB as on an SDR screen")
        )
    tiles, swap = low_byte_tiles(image), name == "TIFF" and swapped(image)
    image.load()
    if not tiles:
        return upright(srgb_pixels(image, encoding, swap, notes), orientation(image))
    low = open_as(name, data)
    low.seek(number)
    low.tile = tiles  # type: ignore[attr-defined]
    low.load()
    return upright(srgb_from_16_bits(image, low, encoding, notes), orientation(image))


def _deep_tiff(data: bytes, number: int, unread: Unread, bounds: Bounds, notes: list[Note]) -> Pixels:
    from d2f.images.colour import from_16_bits, over_grey
    from d2f.images.tiff import UnsupportedTiff, samples

    try:
        colours, alpha = samples(data, number, bounds.pixels)
    except UnsupportedTiff as error:
        raise _error(unread, "D2F303", str(error)) from None
    except Exception as error:
        raise _damaged_image(unread, error) from None
    pixels = from_16_bits(colours if colours.shape[2] == 3 else colours.repeat(3, axis=2))
    pixels = pixels if alpha is None else over_grey(pixels, from_16_bits(alpha), notes)
    pixels.flags.writeable = False
    return pixels


KINDS_NOT_READ = ("cannot handle", "unknown pixel mode", "not supported", "unsupported", "not implemented")
"""Words by which Pillow refuses a sound file of a kind that it does not read."""


def _damaged_image(unread: Unread, error: Exception) -> ImageError:
    from PIL.Image import DecompressionBombError

    if isinstance(error, DecompressionBombError):
        return _error(unread, "D2F306", str(error))
    said = " ".join(str(error).split())[:200] or "no reason given"
    if isinstance(error, NotImplementedError) or any(words in said.lower() for words in KINDS_NOT_READ):
        return _error(unread, "D2F303", f"{unread.format} of a kind that is not read: {said}")
    return _error(unread, "D2F304", f"{unread.format} is damaged or truncated: {said}")


def _error(unread: Unread, code: str, message: str) -> ImageError:
    return ImageError(replace(unread, failure=Failure(code, message)))
