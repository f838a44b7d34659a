"""A file that grows by whole records, and is cut back to them after a run that was killed."""

from __future__ import annotations

import fcntl
import os
import stat
from collections.abc import Callable, Iterator
from typing import BinaryIO, Literal, TypeAlias

from d2f.output import refusals

Mode: TypeAlias = Literal["new", "overwrite", "resume"]
Split: TypeAlias = Callable[[BinaryIO], Iterator[bytes]]

LARGEST_RECORD = 1 << 24
"""Bytes; what is longer was not written by d2f, and is refused instead of cut."""


class AppendFile:
    """One file, locked against other runs while it is open.

    Parameters
    ----------
    path : str
        Regular files are made where they are missing; devices and named pipes are written to as they are.
    mode : {'new', 'overwrite', 'resume'}
        ``new`` refuses a file that holds something.

    Raises
    ------
    D2FError
        ``D2F004``: it cannot be opened, holds something, or another run is writing it.
    """

    def __init__(self, path: str, mode: Mode) -> None:
        self.path = path
        try:
            self._file = _open(path)
        except OSError as error:
            raise refusals.cannot_open(path, error) from error
        status = os.fstat(self._file.fileno())
        self._regular = stat.S_ISREG(status.st_mode)
        if self._regular:
            self._lock()
            if mode == "new" and status.st_size:
                self._file.close()
                raise refusals.exists(path)
        self.cut(0 if mode == "overwrite" else status.st_size)

    def records(self, split: Split) -> Iterator[bytes]:
        """Yield the records that are whole, as `split` finds them."""
        if self._regular:
            with open(self.path, "rb") as file:
                yield from split(file)

    def start(self, length: int) -> bytes:
        """Return the first `length` bytes."""
        return os.pread(self._file.fileno(), length, 0) if self._regular else b""

    def tail(self, end: int) -> bytes:
        """Return the bytes after `end`, at most 64 KiB of them."""
        return os.pread(self._file.fileno(), 1 << 16, end) if self._regular else b""

    def cut_torn(self, end: int) -> None:
        """Cut off what a killed run left after the last whole record.

        Raises
        ------
        D2FError
            ``D2F006``: it is too long to be one record.
        """
        if self.end - end > LARGEST_RECORD:
            raise refusals.unreadable(self.path, f"a record of more than {LARGEST_RECORD >> 20} MiB follows byte {end}")
        self.cut(end)

    def cut(self, end: int) -> None:
        """Cut the file to its first `end` bytes and go on from there."""
        self.end = end
        if self._regular:
            self._file.truncate(end)
            self._file.seek(end)

    def append(self, record: bytes) -> None:
        """Write one record in full; where that fails, cut off what came of it."""
        rest = memoryview(record)
        try:
            while rest:
                rest = rest[self._file.write(rest) :]
        except OSError as error:
            self.cut(self.end)
            if isinstance(error, BrokenPipeError):
                raise
            raise refusals.stopped(self.path, error, resumable=self._regular) from error
        self.end += len(record)

    def close(self) -> None:
        """Close and unlock."""
        self._file.close()

    def _lock(self) -> None:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            self._file.close()
            raise refusals.in_use(self.path) from None
        except OSError:
            # Some network file systems have no locks: a run there is not guarded, but possible.
            return


def _open(path: str) -> BinaryIO:
    """Open without a buffer, so that a killed run loses no row that was written."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        regular = True
    flags = os.O_RDWR | os.O_CREAT if regular else os.O_WRONLY
    return os.fdopen(os.open(path, flags, 0o666), "r+b" if regular else "wb", buffering=0)
