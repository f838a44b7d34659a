"""Images found: one walk over folders, globs, one reader of manifests, lists on standard input."""

from __future__ import annotations

import csv
import heapq
import os
import re
import sys
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import chain
from typing import Any

from d2f.api.errors import D2FError, Place, Problem
from d2f.images.formats import SUFFIXES

AT_ONCE = 65_536
"""How many names of one folder are held at a time; a larger folder is read again for the next ones."""

Entry = tuple[str, bool]
"""A name and whether it is a folder (or a link to one)."""


def walk(folder: str) -> Iterator[str]:
    """Yield the images below a folder by suffix, depth first, in the order of names.

    Names that begin with a dot are left out. Links are followed; a folder that several of them lead to is walked once.
    A folder that cannot be listed is yielded itself, so that the loss is seen as a row with an error.
    """
    visited = {_identity(folder)}
    levels = [(folder, entries(folder))]
    while levels:
        here, names = levels[-1]
        try:
            name, is_folder = next(names, (None, False))
        except OSError:
            levels.pop()
            yield here
            continue
        if name is None:
            levels.pop()
        elif is_folder:
            below = os.path.join(here, name)
            identity = _identity(below)
            if identity not in visited or identity == UNKNOWN:
                visited.add(identity)
                levels.append((below, entries(below)))
        elif has_image_suffix(name):
            yield os.path.join(here, name)


def entries(folder: str, at_once: int = AT_ONCE) -> Iterator[Entry]:
    """Yield a folder's visible names in order, each with whether it is a folder."""
    last = ""
    while True:
        with os.scandir(folder) as listing:
            later = ((entry.name, _is_folder(entry)) for entry in listing if _is_next(entry.name, last))
            part = heapq.nsmallest(at_once, later)
        yield from part
        if len(part) < at_once:
            return
        last = part[-1][0]


def has_image_suffix(name: str) -> bool:
    """Whether a file's suffix is one that d2f picks from folders."""
    return os.path.splitext(name)[1].lower() in SUFFIXES


def _is_next(name: str, last: str) -> bool:
    return name > last and not name.startswith(".")


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a link that leads in a circle
        return False


UNKNOWN = (-1, -1)


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError:
        return UNKNOWN
    return (status.st_dev, status.st_ino)


_MAGIC = re.compile(r"[*?\[]")


def is_glob(path: str) -> bool:
    """Whether a path holds a wildcard."""
    return _MAGIC.search(path) is not None


def match(pattern: str) -> Iterator[str]:
    """Yield the images that a pattern matches.

    A pattern that names a suffix (``*.dat``) takes every file that it matches, another one those of a
    known suffix. A folder that it matches is walked, unless ``**`` reaches into it anyway. A wildcard
    matches no leading dot.
    """
    parts = pattern.split(os.sep)
    fixed = next(index for index, part in enumerate(parts) if is_glob(part))
    base = os.sep.join(parts[:fixed]) + (os.sep if fixed else "")
    parts = [part for part in parts[fixed:] if part]
    any_suffix = bool(re.search(r"\.\w+$", parts[-1]))
    for path, is_folder in _match(base, parts):
        if not is_folder:
            if any_suffix or has_image_suffix(path):
                yield path
        elif "**" not in parts:
            yield from walk(path)


def _match(base: str, parts: list[str]) -> Iterator[tuple[str, bool]]:
    """Yield what `parts` match below `base`, which is empty or ends in a separator."""
    first, rest = parts[0], parts[1:]
    if first == "**":
        yield from _match_any_depth(base, rest or ["*"])
        return
    wanted = re.compile(translate(first)).fullmatch
    for name, is_folder in _listed(base):
        if not wanted(name):
            continue
        if not rest:
            yield base + name, is_folder
        elif is_folder:
            yield from _match(base + name + os.sep, rest)


def _match_any_depth(base: str, rest: list[str]) -> Iterator[tuple[str, bool]]:
    yield from _match(base, rest)
    for name, is_folder in _listed(base):
        # A link to a folder could lead back up; `**` goes down real folders only.
        if is_folder and not os.path.islink(base + name):
            yield from _match_any_depth(base + name + os.sep, rest)


def _listed(base: str) -> Iterator[tuple[str, bool]]:
    try:
        yield from entries(base or os.curdir)
    except OSError:
        return


COLUMN = "path"
"""The column that holds paths."""

TABLES = (".csv", ".parquet")


def is_manifest(path: str) -> bool:
    """Whether a file's suffix is that of a list of paths."""
    return path.lower().endswith((*TABLES, ".txt"))


def open_manifest(path: str) -> Iterator[str]:
    """Yield the paths that a manifest lists, relative ones joined to its folder, row by row.

    A row without a path is yielded as ``MANIFEST:LINE``, so that the loss is seen as a row with an error. A table that
    is damaged anywhere is refused before its first row.
    """
    if path.lower().endswith(".txt"):
        rows = _listed_paths(path, _read_text(path))
        first = next(rows, None)
        return iter(()) if first is None else chain((first,), rows)
    for _ in read_table(path, (COLUMN,)):
        pass
    return _listed_paths(path, ((line, row[COLUMN]) for line, row in read_table(path, (COLUMN,))))


def _listed_paths(path: str, rows: Iterator[tuple[int, str]]) -> Iterator[str]:
    folder = os.path.dirname(path)
    for line, name in rows:
        if not name:
            yield f"{path}:{line}"
            continue
        found = os.path.join(folder, name)
        require_one_line(found, path, line)
        yield found


def require_one_line(path: str, manifest: str, line: int) -> None:
    """Raise D2F605 for a path with a line break or a NUL that names no file: an open quote or another separator."""
    if "\0" in path or ("\n" in path and not os.path.lexists(path)):
        why = f"a path holds {'a NUL character' if chr(0) in path else 'a line break'}"
        raise unreadable(manifest, f"{why}: is a quote left open, or is the list separated otherwise?", line)


def read_table(
    path: str, required: Sequence[str], columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV or Parquet table, each with its line (0 in Parquet): one reader for every manifest.

    Values are stripped. Headings are taken without blanks around them, and those of `required` in any case. `columns`
    limits what is read.

    Raises
    ------
    D2FError
        D2F605, with the line, where the table cannot be read whole or lacks a required column.
    """
    try:
        if _is_parquet(path):
            yield from _parquet_rows(path, required, columns)
        else:
            yield from _csv_rows(path, required)
    except UnicodeDecodeError as error:
        raise unreadable(path, "it is not UTF-8 text: save it as CSV in UTF-8", 0) from error
    except csv.Error as error:
        raise unreadable(path, str(error), 0) from error


def _is_parquet(path: str) -> bool:
    with open(path, "rb") as file:
        head = file.read(4)
    if head == b"PAR1" or path.lower().endswith(".parquet"):
        return True
    if not path.lower().endswith(".csv") and (
        b"\0" in head or head.startswith((b"PK", b"%PDF", b"\x89PNG", b"\xff\xd8"))
    ):
        raise unreadable(path, "it is no table", 0)
    return False


def _csv_rows(path: str, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with open(path, newline="", encoding="utf-8-sig") as file:
        reader = csv.reader(file, strict=True)
        headings = _headings(path, next(reader, []), required)
        for row in _guarded(path, reader):
            if not row:
                continue
            if len(row) > len(headings):
                raise unreadable(path, "more fields than the header has", reader.line_num)
            row += [""] * (len(headings) - len(row))
            yield reader.line_num, dict(zip(headings, (value.strip() for value in row), strict=True))


def _guarded(path: str, reader: Any) -> Iterator[list[str]]:
    try:
        yield from reader
    except csv.Error as error:
        raise unreadable(path, str(error), reader.line_num) from error


def _parquet_rows(
    path: str, required: Sequence[str], columns: Sequence[str] | None
) -> Iterator[tuple[int, dict[str, str]]]:
    import pyarrow as pa
    from pyarrow.parquet import ParquetFile

    try:
        with ParquetFile(path) as file:
            names = file.schema_arrow.names
            headings = _headings(path, names, required)
            wanted = [
                name for name, heading in zip(names, headings, strict=True) if columns is None or heading in columns
            ]
            called = dict(zip(names, headings, strict=True))
            for batch in file.iter_batches(batch_size=4096, columns=wanted):
                for row in batch.to_pylist():
                    yield 0, {called[name]: "" if value is None else str(value).strip() for name, value in row.items()}
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, str(error), 0) from error


def _headings(path: str, names: Sequence[str], required: Sequence[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    found = [name.lower() if name.lower() in required and name.lower() not in stripped else name for name in stripped]
    missing = [name for name in required if name not in found]
    if missing:
        listed = ", ".join(f"'{name}'" for name in found[:8]) or "none"
        separator = next((mark for mark in ";\t|" if any(mark in name for name in names)), None)
        hint = f"; the separator looks like {separator!r}, a comma is expected" if separator else ""
        raise unreadable(path, f"no column {' and no column '.join(missing)} (columns: {listed}){hint}", 1)
    return found


def unreadable(path: str, why: str, line: int) -> D2FError:
    """Return the error of a table that cannot be read, with the line where there is one."""
    note = "a manifest is a CSV or Parquet table whose first row names the columns: path, and label for a labelled set"
    place = Place(path, line, 1 if line else 0)
    return D2FError(Problem("D2F605", f"the manifest cannot be read: {why}", place, notes=(note,)))


def read_lines() -> Iterator[str]:
    """Yield the paths on standard input, one a line, blank lines left out."""
    for line, text in enumerate(sys.stdin, 1):
        if name := text.rstrip("\r\n"):
            require_one_line(name, "standard input", line)
            yield name


def _read_text(path: str) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8-sig") as file:
            for line, text in enumerate(file, 1):
                if name := text.rstrip("\r\n"):
                    yield line, name
    except (OSError, UnicodeDecodeError) as error:
        raise unreadable(path, str(error), 0) from error


STANDARD_INPUT = "-"
"""Stands for paths on standard input, one a line."""


def find_images(paths: Sequence[str]) -> Iterator[str]:
    """Find images."""
    problems: list[Problem] = []
    sources: list[Iterator[str]] = []
    for path in paths:
        try:
            sources.append(_open(path))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    found = chain.from_iterable(sources)
    first = next(found, None)
    if first is None:
        named = ", ".join(repr(path) for path in paths) or "nothing was named"
        raise D2FError.of("D2F003", f"no image was found: {named}")
    return chain((first,), found)


def _open(path: str) -> Iterator[str]:
    if path == STANDARD_INPUT:
        return read_lines()
    if os.path.isdir(path):
        return walk(path)
    if os.path.exists(path):
        return open_manifest(path) if is_manifest(path) else iter((path,))
    if is_glob(path):
        return match(path)
    raise D2FError.of("D2F002", f"{path!r} is not there")
