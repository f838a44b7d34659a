"""Formats of rows, and the file that they are appended to: whole records, cut back to them after a run was killed."""

from __future__ import annotations

import fcntl
import os
import stat
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import PurePath
from typing import IO, BinaryIO, Literal, Protocol, TextIO, TypeAlias, get_args

from d2f.api.errors import D2FError, Exit
from d2f.api.rows import Row
from d2f.files import OTHER_FILE, cannot_write, explained

CONTINUE = "rows written before this are whole; once it can be written again, repeat the command with --resume"


def exists(name: str) -> D2FError:
    """Return the error of an output that holds something already."""
    hint = f"to continue it: --resume; to replace it: --overwrite; or {OTHER_FILE}"
    return D2FError.of("D2F004", f"'{name}' already exists", hint)


def strange_folder(name: str, entry: str) -> D2FError:
    """Return the error of a folder for Parquet parts that holds something else."""
    return D2FError.of(
        "D2F004",
        f"'{name}' is a folder that holds something other than Parquet parts: '{entry}'",
        "choose a folder that does not exist yet with -o; d2f makes it",
    )


def other_chain(name: str, theirs: str, ours: str) -> D2FError:
    """Return the error of rows that another chain made; `theirs` and `ours` are digests, the first perhaps empty."""
    digests = f" (digest {theirs[:12]}, this chain's is {ours[:12]})" if theirs else ""
    return D2FError.of(
        "D2F005",
        f"'{name}' holds rows of another chain{digests}",
        f"two chains' verdicts do not belong in one file: {OTHER_FILE}, or replace this one with --overwrite",
    )


def cannot_resume(name: str, why: str) -> D2FError:
    """Return the error of a file to resume that d2f did not write, or that was changed since."""
    return D2FError.of(
        "D2F006",
        f"'{name}' cannot be resumed: {why}",
        f"nothing in it was changed; {OTHER_FILE}, or replace it with --overwrite",
    )


NAME = "standard output"


class StandardOutput:
    """What `AppendFile` is, for a pipe: nothing to cut, nothing to resume."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def append(self, record: bytes) -> None:
        """Write one record and flush it."""
        with guarded(self._stream):
            self._stream.buffer.write(record)
            self._stream.buffer.flush()

    def close(self) -> None:
        """Leave it open: it is not ours."""


@contextmanager
def guarded(stream: IO[str]) -> Iterator[None]:
    """Turn an OSError met while writing to the standard output into ``D2F004``, and let go of it."""
    try:
        with explained(NAME):
            yield
    except (D2FError, BrokenPipeError):
        # What is still buffered goes nowhere, so that the interpreter does not fail over it when it ends.
        with suppress(OSError, ValueError):
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, stream.fileno())
            os.close(nowhere)
        raise


@dataclass(frozen=True, slots=True)
class Head:
    """The chain that an output belongs to, and the members that its rows hold."""

    chain: str
    digest: str
    members: tuple[tuple[str, str], ...]

    @classmethod
    def of(cls, chain: str, digest: str, members: Iterable[tuple[str, str]]) -> Head:
        """Make a head of any iterable of (detector id, view)."""
        return cls(chain, digest, tuple(members))


Mode: TypeAlias = Literal["new", "overwrite", "resume"]
Split: TypeAlias = Callable[[BinaryIO], Iterator[bytes]]
SYNC_SECONDS = 5.0
"""How often rows are brought to the disk, so that a power cut costs no more than that."""

LARGEST_RECORD = 1 << 24
"""Bytes; what is longer was not written by d2f, and is refused instead of cut."""


class AppendFile:
    """One file, locked against other runs while it is open."""

    def __init__(self, path: str, mode: Mode) -> None:
        self.path = path
        try:
            self._file = _open_unbuffered(path)
        except OSError as error:
            raise cannot_write(path, error) from error
        status = os.fstat(self._file.fileno())
        self._regular = stat.S_ISREG(status.st_mode)
        self._synced = time.monotonic()
        if self._regular:
            try:
                claim(self._file, path)
                if mode == "new" and status.st_size:
                    raise exists(path)
            except D2FError:
                self._file.close()
                raise
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
        """Cut off what a killed run left after the last whole record."""
        if self.end - end > LARGEST_RECORD:
            raise cannot_resume(self.path, f"a record of more than {LARGEST_RECORD >> 20} MiB follows byte {end}")
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
            notes = (CONTINUE,) if self._regular else ()
            raise cannot_write(self.path, error, *notes, exit=Exit.SOME_FAILED) from error
        self.end += len(record)
        if time.monotonic() - self._synced > SYNC_SECONDS:
            self._sync()

    def close(self) -> None:
        """Close and unlock; what was written is on the disk."""
        if not self._file.closed:
            try:
                self._sync()
            finally:
                self._file.close()

    def _sync(self) -> None:
        """Bring rows to the disk; D2F004 where the file is not the one that its name leads to any more."""
        self._synced = time.monotonic()
        if not self._regular:
            return
        with suppress(OSError):  # some network file systems cannot; a full disk has said so already
            os.fsync(self._file.fileno())
        try:
            there = os.path.samestat(os.stat(self.path), os.fstat(self._file.fileno()))
        except OSError as error:
            there = not isinstance(error, FileNotFoundError | NotADirectoryError)
        if not there:
            why = "it was removed, or another file put in its place, while it was being written"
            raise cannot_write(self.path, why, "its rows are lost: run the command again", exit=Exit.SOME_FAILED)


def claim(file: BinaryIO | int, path: str) -> None:
    """Lock an output against other runs while it is open; D2F004 where one of them is writing it."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        message, note = f"another run is writing '{path}'", f"wait for it to end, or {OTHER_FILE}"
        raise D2FError.of("D2F004", message, note) from None
    except OSError:
        # Some network file systems have no locks: a run there is not guarded, but possible.
        return


def _open_unbuffered(path: str) -> BinaryIO:
    """Open without a buffer, so that a killed run loses no row that was written."""
    try:
        regular = stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        regular = True
    flags = os.O_RDWR | os.O_CREAT if regular else os.O_WRONLY
    return os.fdopen(os.open(path, flags, 0o666), "r+b" if regular else "wb", buffering=0)


Format: TypeAlias = Literal["table", "jsonl", "csv", "parquet"]
FORMATS: tuple[Format, ...] = get_args(Format)
RESUMABLE: tuple[Format, ...] = ("jsonl", "csv", "parquet")
ENDINGS: dict[str, Format] = {
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".csv": "csv",
    ".parquet": "parquet",
    ".txt": "table",
}


def choose_format(path: str | None, wanted: Format | None) -> Format:
    """Return the format that is wanted, otherwise the one that the file's name ends in, otherwise ``table``."""
    if path is None and wanted == "parquet":
        raise D2FError.of("D2F001", "Parquet is written to a folder of parts", "name it with -o FOLDER")
    if wanted is not None:
        return wanted
    if path is None:
        return "table"
    ending = PurePath(path).suffix.lower()
    if ending not in ENDINGS:
        known = ", ".join(ENDINGS)
        raise D2FError.of("D2F001", f"no format goes with the name '{path}'", f"give --format, or end it in {known}")
    return ENDINGS[ending]


class Writer(Protocol):
    """Takes rows one by one; memory does not grow with their number."""

    def write(self, row: Row) -> None:
        """Write one row."""

    def close(self) -> None:
        """Bring everything to its place; a closed writer may be closed again."""
