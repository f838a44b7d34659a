"""Where a path's bytes are: a file, a member of an archive (``shard.tar!0001.jpg``), an object in a store (``s3://…``).

One notion for every command: a path is text, it can be written into a row and read back by whoever has it. Archives
are read in place (`d2f.images.archives`), stores through pyarrow's file systems (`d2f.images.stores`).
"""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable
from functools import partial
from typing import BinaryIO, Protocol

from d2f.files import is_url

ARCHIVES = (".tar", ".zip", ".tar.gz", ".tgz", ".tar.bz2", ".tbz2", ".tar.xz", ".txz")
_MEMBER = re.compile(rf"(.+?(?:{'|'.join(map(re.escape, ARCHIVES))}))!(.+)", re.DOTALL | re.IGNORECASE)


class SourceError(Exception):
    """One path gives no bytes: the code of its row, and why."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


class Source(Protocol):
    """Bytes read from any place, `size` of them (None where only reading tells); may be called from several threads."""

    size: int | None

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes there; fewer at the end."""


def is_archive(path: str) -> bool:
    """Whether a path ends as archives that are read in place do."""
    return path.lower().endswith(ARCHIVES)


def member_of(path: str) -> tuple[str, str] | None:
    """Return archive and name of a member, None for any other path; a file of such a name comes first.

    >>> member_of("shards/00.tar!cat.jpg"), member_of("cat!.jpg")
    (('shards/00.tar', 'cat.jpg'), None)
    """
    if "!" not in path or (found := _MEMBER.fullmatch(path)) is None or (not is_url(path) and os.path.lexists(path)):
        return None
    return found[1], found[2]


def joined(folder: str, name: str) -> str:
    """Return a name as seen from a folder, either of which may be in a store."""
    return name if is_url(name) else os.path.join(folder, name)


def last_touched(path: str) -> float:
    """Return when the file of a path, or its archive, was last written or moved, in seconds since the epoch.

    0 where it lies in a store: its time would cost a request.
    """
    found = member_of(path)
    whole = path if found is None else found[0]
    if is_url(whole):
        return 0.0
    status = os.stat(whole)
    return max(status.st_mtime, status.st_ctime)


def bytes_elsewhere(
    path: str, most: int, partly: bool = False, reserve: Callable[[int], None] | None = None
) -> bytes | None:
    """Return the bytes of what is no plain file, at most `most`; None where the path names a plain file.

    `partly`: the first ones where there are more, instead of `SourceError`. `reserve` is called before with their
    number.
    """
    found = member_of(path)
    if found is not None:
        from d2f.images.archives import opened

        archive = opened(found[0])
        size, read = archive.size(found[1]), partial(archive.read, found[1])
    elif is_url(path):
        from d2f.images.stores import StoreFile

        file = StoreFile(path)
        size, read = file.size or 0, partial(file.read_at, 0)
    elif not partly and is_archive(path) and os.path.isfile(path):
        from d2f.images.archives import opened

        raise SourceError("D2F304", opened(path).problem or "an archive: name it itself, and its images are judged")
    else:
        return None
    if size > most and not partly:
        raise SourceError("D2F305", f"{size} bytes, more than the {most} allowed")
    if reserve is not None:
        reserve(size)
    return read(min(size, most))


def open_binary(path: str) -> BinaryIO:
    """Open a file, or an object of a store, to be read whole or in parts; OSError where that fails."""
    if not is_url(path):
        return open(path, "rb")
    from d2f.images.stores import StoreFile

    try:
        return io.BufferedReader(Cursor(StoreFile(path)), 2**20)
    except SourceError as error:
        raise OSError(error.message) from None


LARGEST_READ = 32 * 2**20
"""Bytes that a reader of headers may ask for at once: more is a header that lies about its size."""


class Cursor(io.RawIOBase):
    """A source as a file to be read; `limit`: the most bytes that one call may ask for."""

    def __init__(self, source: Source, limit: int | None = None) -> None:
        super().__init__()
        self._source, self.limit, self._at = source, limit, 0

    def readable(self) -> bool:
        """Whether it can be read."""
        return True

    def seekable(self) -> bool:
        """Whether it can be read from any place."""
        return True

    def tell(self) -> int:
        """Return the place that is read next."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Go to a place."""
        if whence == os.SEEK_END and self._source.size is None:
            raise OSError("its end is not known")
        start = (0, self._at, self._source.size or 0)[whence]
        if start + offset < 0:
            raise OSError("a place before the beginning")
        self._at = start + offset
        return self._at

    def read(self, size: int | None = -1) -> bytes:
        """Return the next bytes."""
        if size is None or size < 0:
            size = max(0, self._source.size - self._at) if self._source.size is not None else LARGEST_READ + 1
        if self.limit is not None and size > self.limit:
            raise OSError(f"a header states {size} bytes, more than {self.limit}")
        data = self._source.read_at(self._at, size)
        self._at += len(data)
        return data

    def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
        """Fill a buffer with the next bytes; return how many there were."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)
