"""Lists of paths: .csv and .parquet with a column `path`, .txt and standard input with a path a line."""

from __future__ import annotations

import csv
import heapq
import os
import re
import sys
from collections.abc import Iterator, Sequence
from fnmatch import translate
from itertools import chain

from d2f.api.errors import D2FError, Problem
from d2f.images.formats import SUFFIXES

AT_ONCE = 65_536
"""How many names of one folder are held at a time; a larger folder is read again for the next ones."""

Entry = tuple[str, bool]
"""A name and whether it is a folder (or a link to one)."""


def walk(folder: str) -> Iterator[str]:
    """Yield the images below a folder by suffix, depth first, in the order of names.

    Names that begin with a dot are left out. Links are followed, except to a folder that holds them.
    A folder that cannot be listed is yielded itself, so that the loss is seen as a row with an error.
    """
    levels = [(folder, _identity(folder), entries(folder))]
    while levels:
        here, _, names = levels[-1]
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
            if all(identity != above for _, above, _ in levels):
                levels.append((below, identity, entries(below)))
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


def _identity(folder: str) -> tuple[int, int]:
    try:
        status = os.stat(folder)
    except OSError:
        return (-1, -1)
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
"""The column that holds paths; further columns are left aside."""


def is_manifest(path: str) -> bool:
    """Whether a file's suffix is that of a list of paths."""
    return path.lower().endswith((".csv", ".parquet", ".txt"))


def open_manifest(path: str) -> Iterator[str]:
    """Yield the paths that a manifest lists, relative ones joined to its folder, row by row."""
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
