"""Tar and zip archives read in place: members listed one by one, and read by name, within bounds.

Nothing is unpacked to disk. A plain tar is read at the places its headers state; one that is compressed, or lies in a
store, is read forwards with the last bytes held, so that listing and reading share one pass. What a header claims is
never believed: a member is at most as large as the bounds of a file, and an archive has at most `MOST_MEMBERS`.
"""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import os
import tarfile
import threading
import weakref
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterator
from typing import Any

from d2f.files import is_url
from d2f.images.sources import LARGEST_READ, Cursor, Source, SourceError
from d2f.images.walk import Listing

MOST_MEMBERS = 1_000_000
"""Members of one archive; about 200 bytes are held for each."""

MOST_EXPANSION = (2**30, 100)
"""A compressed tar is given up once it has grown to so many bytes and to so many times its size."""

HELD_BEHIND = 256 * 2**20
"""Bytes of a compressed tar that are held after they were read, for readers behind the one that lists it."""

HELD_ARCHIVES = 4
"""Archives that stay open."""

BROKEN = (OSError, EOFError, ValueError, RuntimeError, NotImplementedError, zlib.error, lzma.LZMAError)
BROKEN_ARCHIVE = (*BROKEN, tarfile.TarError, zipfile.BadZipFile, SourceError, OverflowError, RecursionError)


class LocalFile:
    """A local file as a `Source`."""

    def __init__(self, path: str) -> None:
        file = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        weakref.finalize(self, os.close, file)
        self._file = file
        self.size: int | None = os.fstat(file).st_size

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes there; fewer at the end."""
        return os.pread(self._file, size, offset)


class Decompressed:
    """What a compressed file holds, as a `Source` that is read forwards; going far back begins anew."""

    size: int | None = None

    def __init__(self, path: str, source: Source) -> None:
        self._source = source
        self._open: Any = {"gz": gzip.open, "bz": bz2.open, "xz": lzma.open}[_compression(path)]
        self._lock = threading.Lock()
        self._most = max(MOST_EXPANSION[0], MOST_EXPANSION[1] * (source.size or 0))
        self._restart()

    def _restart(self) -> None:
        self._stream: Any = self._open(io.BufferedReader(Cursor(self._source), 2**18), "rb")
        self._chunks: OrderedDict[int, bytes] = OrderedDict()
        self._end = self._held = 0

    def read_at(self, offset: int, size: int) -> bytes:
        """Return the bytes there; fewer at the end."""
        with self._lock:
            first = next(iter(self._chunks), 0)
            if offset < first:
                self._restart()
            keep = min(offset, self._end)
            while self._end < offset + size and self._read_chunk(keep):
                keep = max(keep, min(offset, self._end))
            end = offset + size
            return b"".join(
                chunk[max(0, offset - at) : max(0, end - at)]
                for at, chunk in self._chunks.items()
                if at < end and at + len(chunk) > offset
            )

    def _read_chunk(self, keep: int) -> bool:
        """Read on; let go of what is far behind, but of nothing from `keep` on."""
        data = self._stream.read(2**18)
        if not data:
            return False
        self._chunks[self._end] = data
        self._end += len(data)
        self._held += len(data)
        if self._end > self._most:
            raise SourceError("D2F305", f"the archive grows to more than {self._most} bytes when it is decompressed")
        while self._held > HELD_BEHIND:
            start, oldest = next(iter(self._chunks.items()))
            if start + len(oldest) > keep:
                break
            del self._chunks[start]
            self._held -= len(oldest)
        return True


def _compression(path: str) -> str:
    ending = path.lower().rpartition(".")[2]
    return {"tgz": "gz", "gz": "gz", "bz2": "bz", "tbz2": "bz", "xz": "xz", "txz": "xz"}.get(ending, "")


class Archive:
    """Members of one archive; `problem` says why there may be more than were found.

    `irregular` and `replaced` name what cannot be read: no regular files, and members with another of the same name.
    Of these the last is read, as tar and unzip leave it, but the first of an archive that is read `forwards`.
    """

    forwards = False

    def __init__(self) -> None:
        self.problem = ""
        self.irregular: list[str] = []
        self.replaced: list[str] = []

    def names(self) -> Iterator[str]:
        """Yield the names of the regular files in it, in its order; may be called from several threads."""
        raise NotImplementedError

    def size(self, name: str) -> int:
        """Return the bytes that a member claims to hold; `SourceError` where there is none of this name."""
        raise NotImplementedError

    def read(self, name: str, size: int) -> bytes:
        """Return the first `size` bytes of a member, as many as `size` states at most."""
        try:
            data = self._read(name, size)
        except BROKEN_ARCHIVE as error:
            raise _damaged(error) from None
        if len(data) != size:
            raise SourceError("D2F304", "the archive breaks off within this member")
        return data

    def _read(self, name: str, size: int) -> bytes:
        raise NotImplementedError


def _damaged(error: Exception) -> SourceError:
    if isinstance(error, SourceError):
        return error
    said = " ".join(str(error).split())[:200] or type(error).__name__
    return SourceError("D2F304", f"the archive is damaged: {said}")


class Tar(Archive):
    """A tar archive; of one that is read forwards, headers are read no further than they are asked for."""

    def __init__(self, path: str, source: Source) -> None:
        super().__init__()
        self._source = Decompressed(path, source) if _compression(path) else source
        self.forwards = not isinstance(self._source, LocalFile)
        self._lock = threading.Lock()
        self._names: list[str] = []
        self._places: dict[str, tuple[int, int]] = {}
        self._tar: tarfile.TarFile | None = None
        self._ended = False

    def names(self) -> Iterator[str]:
        """Yield the names of the regular files in it, as far as they can be read."""
        self._read_ahead()
        number = 0
        while number < len(self._names) or self._advance(number):
            yield self._names[number]
            number += 1

    def size(self, name: str) -> int:
        """Return the bytes that a member claims to hold."""
        self._read_ahead()
        while name not in self._places:
            if not self._advance(len(self._names)):
                raise SourceError("D2F301", self.problem or "the archive has no such member")
        return self._places[name][1]

    def _read(self, name: str, size: int) -> bytes:
        return self._source.read_at(self._places[name][0], size)

    def _read_ahead(self) -> None:
        """Read all headers, where that costs no pass over the archive: which member of a name is the last is known."""
        if not self.forwards:
            self._advance(MOST_MEMBERS)

    def _advance(self, known: int) -> bool:
        """Read headers until there are more names than `known`; False at the end."""
        with self._lock:
            while len(self._names) <= known and not self._ended:
                try:
                    self._next()
                except BROKEN_ARCHIVE as error:
                    self._end(_damaged(error).message)
            return len(self._names) > known

    def _next(self) -> None:
        if self._tar is None:
            cursor: Any = Cursor(self._source, LARGEST_READ)
            self._tar = tarfile.TarFile(fileobj=cursor, mode="r", errors="surrogateescape")
        tar: Any = self._tar
        before = tar.offset
        member = tar.next()
        tar.members.clear()
        if member is None:
            block = self._source.read_at(tar.offset, tarfile.BLOCKSIZE)
            ended = len(block) == tarfile.BLOCKSIZE and not any(block)
            self._end("" if ended else f"the archive breaks off, or is damaged, at byte {tar.offset}")
        elif tar.offset <= member.offset or (self._names and tar.offset < before):
            self._end(f"the archive is damaged at byte {member.offset}")
        elif (place := self._place(member)) is None:
            if not member.isdir():
                self.irregular.append(member.name)
        elif member.name in self._places:
            self.replaced.append(member.name)
            if not self.forwards:
                self._places[member.name] = place
        else:
            if len(self._names) >= MOST_MEMBERS:
                self._end(f"the archive has more than {MOST_MEMBERS} members")
                return
            self._names.append(member.name)
            self._places[member.name] = place

    def _place(self, member: tarfile.TarInfo) -> tuple[int, int] | None:
        """Return where a member's bytes start and how many they are: of a hard link, those of the member before it."""
        if member.islnk():
            return self._places.get(member.linkname)
        return (member.offset_data, member.size) if member.isreg() and not member.issparse() else None

    def _end(self, problem: str) -> None:
        self._ended, self.problem, self._tar = True, problem, None


class Zip(Archive):
    """A zip archive; its directory is read when it is opened."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._members: dict[str, zipfile.ZipInfo] = {}
        self._names: list[str] = []
        cursor: Any = Cursor(source, LARGEST_READ)
        try:
            self._zip = zipfile.ZipFile(cursor)
            self._take(self._zip.infolist(), source.size or 0)
        except BROKEN_ARCHIVE as error:
            self.problem = _damaged(error).message
        cursor.limit = None

    def _take(self, members: list[zipfile.ZipInfo], size: int) -> None:
        if sum(one.compress_size for one in members) > size:
            raise ValueError("its members overlap")
        for one in members:
            if (one.external_attr >> 28) not in (0, 8):  # of a Unix mode: neither unknown nor a regular file
                if not one.is_dir():
                    self.irregular.append(one.filename)
            elif not one.is_dir():
                (self.replaced if one.filename in self._members else self._names).append(one.filename)
                self._members[one.filename] = one

    def names(self) -> Iterator[str]:
        """Yield the names of the regular files in it."""
        yield from self._names

    def size(self, name: str) -> int:
        """Return the bytes that a member claims to hold."""
        if name not in self._members:
            raise SourceError("D2F301", self.problem or "the archive has no such member")
        member = self._members[name]
        if member.flag_bits & 1:
            raise SourceError("D2F301", "this member is encrypted")
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            # The others are decompressed without a bound on what comes out.
            raise SourceError("D2F301", "this member is compressed otherwise than by deflate")
        return member.file_size

    def _read(self, name: str, size: int) -> bytes:
        with self._zip.open(self._members[name]) as file:
            return file.read(size)


_opened: OrderedDict[tuple[Any, ...], Archive] = OrderedDict()
_opening = threading.Lock()


def opened(path: str) -> Archive:
    """Return an archive, opened once for the process while it is in use; `SourceError` where it cannot be."""
    if is_url(path):
        key: tuple[Any, ...] = (path,)
    else:
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            raise SourceError("D2F301", f"the archive: {getattr(error, 'strerror', None) or error}") from None
        key = (os.path.abspath(path), status.st_dev, status.st_ino, status.st_mtime_ns, status.st_size)
    with _opening:
        if key not in _opened:
            _opened[key] = _open(path)
        _opened.move_to_end(key)
        while len(_opened) > HELD_ARCHIVES:
            _opened.popitem(last=False)
        return _opened[key]


def _open(path: str) -> Archive:
    from d2f.images.stores import StoreFile

    try:
        source: Source = StoreFile(path) if is_url(path) else LocalFile(path)
    except OSError as error:
        raise SourceError("D2F301", f"the archive: {error.strerror or error}") from None
    return Zip(source) if path.lower().endswith(".zip") else Tar(path, source)


def members(path: str, listing: Listing) -> Iterator[str]:
    """Yield the images in an archive as ``ARCHIVE!MEMBER``; the archive itself, where it cannot be read to its end."""
    try:
        archive = opened(path)
    except SourceError:
        yield path
        return
    for name in archive.names():
        member = f"{path}!{name}"
        if any(part.startswith(".") for part in name.split("/") if part not in (".", "..")):
            listing.pass_over(member, "hidden")
        elif listing.takes(member):
            yield member
    for name in archive.irregular:
        listing.pass_over(f"{path}!{name}", "that is no regular file")
    last = "replaced by a later one of its name in an archive"
    why = "behind the first of its name in a tar read forwards" if archive.forwards else last
    for number, name in enumerate(archive.replaced):
        listing.pass_over(f"{path}!{name}\0{number}", why)
    if archive.problem:
        yield path
