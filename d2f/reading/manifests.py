"""Lists of paths: .csv and .parquet with a column `path`, .txt and standard input with a path a line."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator
from itertools import chain

from d2f.api.errors import D2FError

COLUMN = "path"
"""The column that holds paths; further columns are left aside."""


def is_manifest(path: str) -> bool:
    """Whether a file's suffix is that of a list of paths."""
    return path.lower().endswith((".csv", ".parquet", ".txt"))


def open_manifest(path: str) -> Iterator[str]:
    """Yield the paths that a manifest lists, relative ones joined to its folder, row by row.

    Raises
    ------
    D2FError
        D2F605, at once where the column is missing or the file is no manifest, later where it breaks off.
    """
    kind = path.lower().rsplit(".", 1)[1]
    read = {"csv": _read_csv, "parquet": _read_parquet, "txt": _read_text}[kind]
    rows = _guarded(path, read(path))
    first = next(rows, None)
    return iter(()) if first is None else chain((first,), rows)


def read_lines() -> Iterator[str]:
    """Yield the paths on standard input, one a line, blank lines left out."""
    for line in sys.stdin:
        if name := line.rstrip("\r\n"):
            yield name


def _guarded(path: str, rows: Iterator[str]) -> Iterator[str]:
    folder = os.path.dirname(path)
    try:
        for name in rows:
            if name:
                yield os.path.join(folder, name)
    except D2FError:
        raise
    except Exception as error:  # OSError, UnicodeError, csv.Error and whatever pyarrow raises
        raise D2FError.of("D2F605", f"the manifest {path!r} cannot be read: {error}") from None


def _read_csv(path: str) -> Iterator[str]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        rows = csv.DictReader(file)
        _require(path, rows.fieldnames or ())
        for row in rows:
            yield row[COLUMN] or ""


def _read_parquet(path: str) -> Iterator[str]:
    from pyarrow.parquet import ParquetFile

    with ParquetFile(path) as file:
        _require(path, file.schema_arrow.names)
        for batch in file.iter_batches(batch_size=4096, columns=[COLUMN]):
            yield from (str(name or "") for name in batch.column(0).to_pylist())


def _read_text(path: str) -> Iterator[str]:
    with open(path, encoding="utf-8-sig") as file:
        for line in file:
            yield line.rstrip("\r\n")


def _require(path: str, columns: object) -> None:
    if COLUMN not in list(columns):  # type: ignore[call-overload]
        raise D2FError.of(
            "D2F605", f"the manifest {path!r} has no column {COLUMN!r}", "its first row names the columns"
        )
