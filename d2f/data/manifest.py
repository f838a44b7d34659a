"""Manifests: a CSV or Parquet table with a row an image."""

from __future__ import annotations

import csv
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import MappingProxyType

from d2f.api.errors import D2FError, Place, Problem
from d2f.data.dataset import GENERATED, REAL, Labelled

TABLE_SUFFIXES = (".csv", ".parquet")
KNOWN = ("path", "label", "generator", "source", "collection", "group")
WORDS = {
    **dict.fromkeys(("real", "0_real", "nature", "0"), REAL),
    **dict.fromkeys(("generated", "1_fake", "fake", "ai", "1"), GENERATED),
}
"""Every word for a label that is understood, in lower case; folder names are held to it too."""


def read_manifest(path: Path) -> tuple[tuple[Labelled, ...], tuple[str, ...]]:
    """Read a manifest.

    Columns ``path`` (relative to the manifest's folder, or absolute) and ``label`` (a word of `WORDS`)
    are needed; ``generator``, ``source``, ``collection`` and ``group`` may be missing or empty; all
    others are kept in `Labelled.more`. A missing collection is the image's own.

    Returns
    -------
    images : tuple of Labelled
        In the table's order.
    notes : tuple of str
        Nothing so far; the shape is `read_layout`'s.

    Raises
    ------
    D2FError
        All bad rows at once: D2F602 a label, D2F002 a file that is not there, D2F605 an unreadable table.
    """
    rows = list(_csv_rows(path) if path.suffix.lower() == ".csv" else _parquet_rows(path))
    problems = [problem for line, row in rows for problem in _problems(path, line, row)]
    if problems:
        raise D2FError(problems)
    return tuple(_labelled(path.parent, row) for _, row in rows), ()


def _labelled(folder: Path, row: Mapping[str, str]) -> Labelled:
    generator, source, collection, group = (row.get(column, "") for column in KNOWN[2:])
    more = {column: value for column, value in row.items() if column not in KNOWN}
    path = os.path.join(folder, row["path"])
    return Labelled(path, WORDS[row["label"].lower()], generator, source, collection, group, MappingProxyType(more))


def _problems(manifest: Path, line: int, row: Mapping[str, str]) -> Iterable[Problem]:
    place = Place(str(manifest), line, 1 if line else 0)
    if row["label"].lower() not in WORDS:
        said = f"unknown label '{row['label']}'" if row["label"] else "no label"
        yield Problem("D2F602", f"{said} for '{row['path']}'", place, notes=("write `real` or `generated`",))
    if not os.path.isfile(os.path.join(manifest.parent, row["path"])):
        yield Problem("D2F002", f"there is no file '{row['path']}'", place)


def _csv_rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            reader = csv.DictReader(file, restval="", strict=True)
            _need_columns(path, reader.fieldnames or ())
            for row in reader:
                if None in row:
                    raise _unreadable(path, "more fields than the header has", reader.line_num)
                yield reader.line_num, {column: value.strip() for column, value in row.items()}
    except (csv.Error, UnicodeDecodeError) as error:
        raise _unreadable(path, str(error)) from error


def _parquet_rows(path: Path) -> Iterable[tuple[int, Mapping[str, str]]]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        table = pq.read_table(path)
    except (pa.ArrowException, OSError) as error:
        raise _unreadable(path, str(error)) from error
    _need_columns(path, table.column_names)
    for row in table.to_pylist():
        yield 0, {column: "" if value is None else str(value).strip() for column, value in row.items()}


def _need_columns(path: Path, columns: Iterable[str]) -> None:
    missing = [column for column in KNOWN[:2] if column not in columns]
    if missing:
        raise _unreadable(path, f"no column {' and no column '.join(missing)}", 1)


def _unreadable(path: Path, why: str, line: int = 0) -> D2FError:
    note = "a manifest is a CSV or Parquet table with the columns path and label"
    place = Place(str(path), line, 1 if line else 0)
    return D2FError(Problem("D2F605", f"the manifest cannot be read: {why}", place, notes=(note,)))
