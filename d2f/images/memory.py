"""Images that a program holds in memory: encoded bytes, file objects, PIL images, arrays.

`load` is the one way from anything that may be judged to an `ImageFile`, or to the reason why it is none.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from d2f.api.errors import D2FError
from d2f.api.inputs import Bounds, ImageFile, Note, Pixels
from d2f.api.rows import Failure
from d2f.images.read import ImageError, Reserve, Unread, decode, load_image

if TYPE_CHECKING:
    from PIL import Image

    Picture: TypeAlias = Image.Image
else:
    Picture: TypeAlias = Any


class BinaryFile(Protocol):
    """A file object that gives bytes."""

    def read(self, size: int = -1, /) -> bytes:
        """Return at most `size` bytes."""


ImageInput: TypeAlias = str | os.PathLike[str] | bytes | bytearray | memoryview | BinaryFile | Picture | Pixels
"""What may be judged: a path, a file's bytes, a file object, a PIL image, or uint8 (height, width, 3) in sRGB."""

EXPECTED = "expected a path, bytes, a binary file object, a PIL image, or a uint8 array (height, width, 3)"


@dataclass(frozen=True, slots=True, eq=False)
class InMemory:
    """An image that is not named by its path.

    Parameters
    ----------
    path : str
        What its row is called by.
    content : bytes, file object, PIL image or uint8 array (height, width, 3)
        Bytes and what a file object gives are a whole file; the others are pixels without a file.
    start : int, optional
        Where a file object stood, and is left; None where it cannot go back.
    """

    path: str
    content: Any
    start: int | None = None

    def load(self, bounds: Bounds, reserve: Reserve | None = None) -> ImageFile | Unread:
        """Decode it, or say why not; raises for nothing that a file can cause."""
        try:
            if isinstance(self.content, bytes):
                return decode(self.content, self.path, bounds, reserve)
            if hasattr(self.content, "read"):
                return decode(self._bytes_read(bounds), self.path, bounds, reserve)
            notes: list[Note] = []
            return _of_pixels(self.path, self._pixels(bounds, reserve, notes), notes)
        except ImageError as error:
            return error.unread

    def _bytes_read(self, bounds: Bounds) -> bytes:
        try:
            if self.start is not None:
                self.content.seek(self.start)
            data = self.content.read(bounds.bytes + 1)
            if self.start is not None:
                self.content.seek(self.start)
        except (OSError, ValueError) as error:  # ValueError: it is closed
            raise self._refused("D2F301", getattr(error, "strerror", None) or str(error)) from None
        if not isinstance(data, bytes):
            raise self._refused("D2F301", f"the file object gives {type(data).__name__}, not bytes: open it with 'rb'")
        return data

    def _pixels(self, bounds: Bounds, reserve: Reserve | None, notes: list[Note]) -> Pixels:
        is_array = _is_array(self.content)
        height, width = self.content.shape[:2] if is_array else (self.content.height, self.content.width)
        if width * height > bounds.pixels:
            raise self._refused("D2F306", f"{width}x{height} pixels, more than the {bounds.pixels} allowed")
        if reserve is not None:
            reserve(3 * width * height)
        return self.content if is_array else self._pixels_of_picture(notes)

    def _pixels_of_picture(self, notes: list[Note]) -> Pixels:
        from d2f.images.colour import orientation, srgb_pixels, upright
        from d2f.images.read import quiet_pillow

        try:
            with quiet_pillow():
                self.content.load()
                return upright(srgb_pixels(self.content, notes=notes), orientation(self.content))
        except Exception as error:  # Pillow decodes an opened file only here, and raises many kinds
            said = " ".join(str(error).split())[:200]
            raise self._refused("D2F304", f"the PIL image cannot be read: {type(error).__name__}: {said}") from None

    def _refused(self, code: str, message: str) -> ImageError:
        return ImageError(Unread(self.path, Failure(code, message)))


def load(image: str | InMemory, bounds: Bounds | None = None, reserve: Reserve | None = None) -> ImageFile | Unread:
    """Read and decode an image, or say why not: the file of a path, or one in memory; see `load_image`."""
    if isinstance(image, str):
        return load_image(image, bounds, reserve)
    return image.load(bounds or Bounds(), reserve)


def image_source(image: ImageInput, number: int | None = None) -> str | InMemory:
    """Return what `load` takes, of anything that may be judged.

    Parameters
    ----------
    image : path, bytes, file object, PIL image or array
    number : int, optional
        Its place among others, from 0, for the name of its row.

    Raises
    ------
    D2FError
        D2F307 where it is none of these.

    Examples
    --------
    >>> image_source(b"...", 2).path
    '<bytes 2>'
    """
    if isinstance(image, str | os.PathLike):
        return os.fspath(image)
    place = "" if number is None else f" {number}"
    if isinstance(image, bytes | bytearray | memoryview):
        return InMemory(f"<bytes{place}>", bytes(image))
    if _is_array(image):
        array: Any = image
        if array.dtype != "uint8" or array.ndim != 3 or array.shape[2] != 3 or not array.size:
            hint = "; values within [0, 1]: (255 * x).round().astype('uint8')" if array.dtype.kind == "f" else ""
            raise D2FError.of("D2F307", f"{_object_words(array)} is no image", f"{EXPECTED}{hint}")
        return InMemory(f"<array{place}>", array)
    if all(hasattr(image, name) for name in ("getexif", "load", "mode")):  # a PIL image
        name = getattr(image, "filename", "")
        return InMemory(name if isinstance(name, str) and name else f"<image{place}>", image)
    if callable(getattr(image, "read", None)):
        name = getattr(image, "name", "")
        return InMemory(name if isinstance(name, str) and name else f"<file{place}>", image, _start(image))
    raise D2FError.of("D2F307", f"{_object_words(image)} is no image", EXPECTED)


def _is_array(image: object) -> bool:
    # By attributes: a program that judges paths loads numpy only when pixels are decoded. The interface is looked at
    # last: a PIL image has one too, and decodes its file when asked for it.
    return all(hasattr(image, name) for name in ("dtype", "shape", "__array_interface__"))


def _object_words(image: Any) -> str:
    if _is_array(image):
        return f"an array of {image.dtype}, shape {tuple(image.shape)},"
    return f"an object of type {type(image).__name__}"


def _start(file: Any) -> int | None:
    try:
        return int(file.tell()) if file.seekable() else None
    except (OSError, ValueError, AttributeError):
        return None


def _of_pixels(path: str, pixels: Pixels, notes: Sequence[Note]) -> ImageFile:
    import numpy as np

    view = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    height, width = view.shape[:2]
    digest = hashlib.sha256(view.data).hexdigest()
    return ImageFile(path, b"", digest, "", width, height, view, notes=tuple(notes))
