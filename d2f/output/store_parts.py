"""Parquet parts in an object store, each whole from the moment it is seen."""

from __future__ import annotations

import re
import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, Exit
from d2f.files import cannot_write
from d2f.output import append as refusals
from d2f.output.append import Mode
from d2f.stores import file_system, said

if TYPE_CHECKING:
    import pyarrow

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

    def parts(self) -> Sequence[str]:
        """Return the parts, in the order in which they were written."""
        return self._parts

    def open(self, part: str) -> Any:
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
