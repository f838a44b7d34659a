"""The bytes of a regular file, bounded; pipes, devices and folders are never read."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable

from d2f.api.rows import Failure
from d2f.reading.bounds import Bounds
from d2f.reading.unread import ImageError, Unread

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
