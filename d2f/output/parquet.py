"""Parquet: parts in a folder or in an object store, each whole from the moment it is seen."""

from __future__ import annotations

import os
import re
import secrets
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

from d2f.api.errors import D2FError, Exit
from d2f.api.rows import Row
from d2f.files import cannot_write, explained, file_system, said
from d2f.output import append as refusals
from d2f.output.append import Head, Mode
from d2f.output.lines import Value, columns, flatten, members_of, unflatten

if TYPE_CHECKING:
    import pyarrow

PART_ROWS = 4096
PART_SECONDS = (1.0, 60.0)
"""A part is closed when it has `PART_ROWS` rows, or is so old: 1 s the first, then twice as long each, up to 60 s."""


class ParquetWriter:
    """Collects rows, at most `PART_ROWS`, and writes them as ``part-00000.parquet`` and so on.

    Readers take the folder as one table (``pyarrow.dataset``, ``pandas.read_parquet``); a part under way has a
    name with a leading dot, which they pass over.
    """

    def __init__(self, folder: Folder, head: Head) -> None:
        self._folder = folder
        self._schema = parquet_schema(head)
        self._rows: list[dict[str, Value]] = []
        self._patience = PART_SECONDS[0]
        self._since = time.monotonic()

    def write(self, row: Row) -> None:
        """Take a row; write a part when one is due."""
        self._rows.append(flatten(row))
        age = time.monotonic() - self._since
        if len(self._rows) >= PART_ROWS or age >= self._patience:
            self._patience = min(2 * self._patience, PART_SECONDS[1])
            self._part()

    def close(self) -> None:
        """Write what is left; with no rows at all, one empty part, so that the columns are known."""
        if self._rows or not self._folder.parts():
            self._part()
        self._folder.close()

    def _part(self) -> None:
        import pyarrow

        self._folder.add(pyarrow.Table.from_pylist(self._rows, self._schema))
        self._rows, self._since = [], time.monotonic()


class PartsFolder:
    """A folder that holds parts and nothing else, locked against other runs while it is open."""

    def __init__(self, path: str, mode: Mode) -> None:
        self.path = path
        self._root = Path(path)
        self._next = 0
        try:
            self._root.mkdir(exist_ok=True)
            self._lock = os.open(path, os.O_RDONLY)
        except OSError as error:
            raise refusals.exists(path) if os.path.isfile(path) else cannot_write(path, error) from error
        try:
            self._claim(mode)
        except D2FError:
            self.close()
            raise

    def parts(self) -> Sequence[Any]:
        """Return the parts, in the order in which they were written."""
        return sorted(self._root.glob("part-*.parquet"), key=lambda part: (len(part.name), part.name))

    def open(self, part: Any) -> Any:
        """Return what reads a part."""
        return part

    def add(self, table: pyarrow.Table) -> None:
        """Write one more part: under another name first, then renamed, so that it is there whole or not at all."""
        import pyarrow.parquet

        name = f"part-{self._next:05d}.parquet"
        under_way = self._root / f".{name}.tmp"
        try:
            with explained(self.path, refusals.CONTINUE):
                pyarrow.parquet.write_table(table, under_way, compression="zstd")
                under_way.rename(self._root / name)
        except D2FError:
            with suppress(OSError):
                under_way.unlink(missing_ok=True)
            raise
        self._next += 1

    def close(self) -> None:
        """Unlock; the parts are where they should be already."""
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _claim(self, mode: Mode) -> None:
        refusals.claim(self._lock, self.path)
        ours = {*self.parts(), *self._root.glob(".part-*.parquet.tmp")}
        strange = next((entry.name for entry in self._root.iterdir() if entry not in ours), None)
        if strange is not None:
            raise refusals.strange_folder(self.path, strange)
        if mode == "new" and self.parts():
            raise refusals.exists(self.path)
        for entry in ours if mode == "overwrite" else ours.difference(self.parts()):
            entry.unlink()
        # Counted from here on: a folder that may not be listed any more looks as if it were empty.
        parts = self.parts()
        self._next = int(parts[-1].stem.removeprefix("part-")) + 1 if parts else 0


WHOLE_AT_ONCE = ("s3", "gcs", "abfs")
"""Stores in which an object is there once it is whole; elsewhere it is written under another name first."""

PART = re.compile(r"part-(\d{5,})-[0-9a-f]{8}\.parquet")


class StoreFolder:
    """A prefix that holds parts and nothing else.

    A store has no locks: two runs there are not kept apart, but their parts' names differ, so that none is lost.
    """

    def __init__(self, url: str, mode: Mode) -> None:
        from pyarrow.fs import FileSelector, FileType

        self.path = url
        self._system, place = file_system(url)
        self._place = place.rstrip("/")
        self._run = secrets.token_hex(4)
        try:
            found = self._system.get_file_info(FileSelector(self._place, allow_not_found=True))
            names = sorted(one.base_name for one in found if one.type == FileType.File)
            self._parts = [name for name in names if PART.fullmatch(name)]
            left = [name for name in names if name.startswith(".part-")]
            strange = next((name for name in names if name not in {*self._parts, *left}), None)
            if strange is not None:
                raise refusals.strange_folder(url, strange)
            if mode == "new" and self._parts:
                raise refusals.exists(url)
            for name in [*left, *(self._parts if mode == "overwrite" else ())]:
                self._system.delete_file(f"{self._place}/{name}")
            self._system.create_dir(self._place)
        except OSError as error:
            raise cannot_write(url, said(error)) from None
        if mode == "overwrite":
            self._parts = []

    def parts(self) -> Sequence[Any]:
        """Return the parts, in the order in which they were written."""
        return self._parts

    def open(self, part: Any) -> Any:
        """Return what reads a part."""
        return self._system.open_input_file(f"{self._place}/{part}")

    def add(self, table: pyarrow.Table) -> None:
        """Write one more part."""
        import pyarrow.parquet

        number = 1 + max((int(name.split("-")[1]) for name in self._parts), default=-1)
        name = f"part-{number:05d}-{self._run}.parquet"
        under_way = name if self._system.type_name in WHOLE_AT_ONCE else f".{name}.tmp"
        try:
            with self._system.open_output_stream(f"{self._place}/{under_way}") as file:
                pyarrow.parquet.write_table(table, file, compression="zstd")
            if under_way != name:
                self._system.move(f"{self._place}/{under_way}", f"{self._place}/{name}")
        except OSError as error:
            raise cannot_write(self.path, said(error), refusals.CONTINUE, exit=Exit.SOME_FAILED) from None
        self._parts.append(name)

    def close(self) -> None:
        """Nothing is held; the parts are where they should be already."""


def require_parquet(url: str, format: str) -> None:
    """Refuse a format that grows by records: an object cannot be appended to."""
    if format != "parquet":
        hint = f"Parquet parts can: -o {url.rstrip('/').rpartition('.')[0] or url}.parquet"
        raise D2FError.of("D2F001", f"an object of a store cannot be appended to, as {format} is written", hint)


Folder: TypeAlias = PartsFolder | StoreFolder


def parquet_schema(head: Head) -> pyarrow.Schema:
    """Return the columns and types of every part; the chain's name and digest are in its metadata."""
    import pyarrow

    kinds = {str: pyarrow.string(), int: pyarrow.int32(), float: pyarrow.float64()}
    fields = [(name, kinds[kind]) for name, kind in columns(head.members).items()]
    return pyarrow.schema(fields, metadata={"d2f.chain": head.chain, "d2f.chain_digest": head.digest})


def resume_parquet(folder: Folder, head: Head) -> Iterator[Row]:
    """Yield the rows that the parts hold."""
    import pyarrow.parquet

    for part in folder.parts():
        try:
            file = pyarrow.parquet.ParquetFile(folder.open(part))
            ours = file.schema_arrow.metadata or {}
            if (theirs := ours.get(b"d2f.chain_digest", b"").decode()) != head.digest:
                raise refusals.other_chain(folder.path, theirs, head.digest)
            members = members_of(file.schema_arrow.names)
            for batch in file.iter_batches():
                yield from (unflatten(flat, members) for flat in batch.to_pylist())
        except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
            raise refusals.cannot_resume(folder.path, f"{getattr(part, 'name', part)}: {error}") from error
