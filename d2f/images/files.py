"""Images found by what a user names: files, folders, globs, manifests (one reader for all), standard input."""

from __future__ import annotations

import csv
import os
import sys
from collections.abc import Iterator, Sequence
from io import TextIOWrapper
from itertools import chain, islice
from typing import Any

from d2f.api.errors import D2FError, Place, Problem
from d2f.api.rows import encodable
from d2f.files import is_absent, is_url
from d2f.images.sources import is_archive, joined, member_of, open_binary
from d2f.images.walk import Listing, is_glob, match, walk

COLUMN = "path"
"""The column that holds paths."""

TABLES = (".csv", ".parquet")
NO_TEXT = ("int", "float", "double", "decimal", "bool", "list", "struct", "map", "date", "time", "duration")
"""What the names of Parquet's types that no path has hold."""


def is_manifest(path: str) -> bool:
    """Whether a file's suffix is that of a list of paths."""
    return path.lower().endswith((*TABLES, ".txt"))


def open_manifest(path: str) -> Iterator[str]:
    """Yield the paths that a manifest lists, relative ones joined to its folder, row by row.

    A row without a path is yielded as ``MANIFEST:LINE`` (in Parquet the row's number), so that the loss is seen as a
    row with an error. A table that is damaged anywhere is refused before its first row.
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
    for number, (line, name) in enumerate(rows, 1):
        if not name:
            yield f"{path}:{line or number}"
            continue
        found = joined(folder, name)
        require_one_line(found, path, line)
        yield found


def require_one_line(path: str, manifest: str, line: int) -> None:
    """Raise D2F605 for a path with a line break or a NUL that names no file: an open quote or another separator."""
    if "\0" in path or ("\n" in path and member_of(path) is None and not os.path.lexists(path)):
        why = f"a path holds {'a NUL character' if chr(0) in path else 'a line break'}"
        raise unreadable(manifest, f"{why}: is a quote left open, or is the list separated otherwise?", line)


def read_table(
    path: str, required: Sequence[str], columns: Sequence[str] | None = None
) -> Iterator[tuple[int, dict[str, str]]]:
    """Yield the rows of a CSV or Parquet table, each with its line (0 in Parquet): one reader for every manifest.

    Values are stripped. Headings are taken without blanks around them, and those of `required` in any case. `columns`
    limits what is read.

    Raises D2FError: D2F605, with the line, where the table cannot be read whole or lacks a required column.
    """
    try:
        if _is_parquet(path):
            yield from _parquet_rows(path, required, columns)
        else:
            yield from _csv_rows(path, required)
    except UnicodeDecodeError as error:
        raise unreadable(path, "it is not UTF-8 text: save it as CSV in UTF-8", 0) from error
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), 0) from error
    except csv.Error as error:
        raise unreadable(path, str(error), 0) from error


def _is_parquet(path: str) -> bool:
    with open_binary(path) as file:
        head = file.read(4)
    if head == b"PAR1" or path.lower().endswith(".parquet"):
        return True
    if head.lstrip()[:1] in (b"{", b"["):
        raise unreadable(path, "it is JSON, and no table", 0)
    if not path.lower().endswith(".csv") and (
        b"\0" in head or head.startswith((b"PK", b"%PDF", b"\x89PNG", b"\xff\xd8"))
    ):
        raise unreadable(path, "it is no table", 0)
    return False


def _csv_rows(path: str, required: Sequence[str]) -> Iterator[tuple[int, dict[str, str]]]:
    with TextIOWrapper(open_binary(path), newline="", encoding="utf-8-sig") as file:
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
        with open_binary(path) as source, ParquetFile(source) as file:
            names = file.schema_arrow.names
            headings = _headings(path, names, required)
            wanted = [
                name for name, heading in zip(names, headings, strict=True) if columns is None or heading in columns
            ]
            called = dict(zip(names, headings, strict=True))
            kind = next((str(field.type) for field in file.schema_arrow if called.get(field.name) == "path"), "")
            if any(said in kind for said in NO_TEXT):
                raise unreadable(path, f"column 'path' holds {kind}, not text", 0)
            for batch in file.iter_batches(batch_size=4096, columns=wanted):
                for row in batch.to_pylist():
                    yield 0, {called[name]: _text(value).strip() for name, value in row.items()}
    except (pa.ArrowException, OSError) as error:
        raise unreadable(path, str(error), 0) from error


def _text(value: object) -> str:
    if isinstance(value, bytes):
        return os.fsdecode(value)
    return "" if value is None else str(value)


def _headings(path: str, names: Sequence[str], required: Sequence[str]) -> list[str]:
    stripped = [name.strip() for name in names]
    found = [name.lower() if name.lower() in required and name.lower() not in stripped else name for name in stripped]
    twice = next((name for place, name in enumerate(found) if name and name in found[:place]), None)
    if twice is not None:
        raise unreadable(path, f"two columns are called '{twice}'", 1)
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


def read_lines(null: bool = False) -> Iterator[str]:
    """Yield the paths on standard input, one a line; blank lines are left out, bytes that are not UTF-8 escaped.

    `null`: each path ends in a NUL instead, as ``find -print0`` writes them.
    """
    source = getattr(sys.stdin, "buffer", None)
    if null and source is not None:
        yield from map(os.fsdecode, filter(None, _null_ended(source)))
        return
    for line, text in enumerate(sys.stdin if source is None else map(os.fsdecode, source), 1):
        if name := text.rstrip("\r\n"):
            if "\0" in name:
                what = "a path on standard input holds a NUL character"
                raise D2FError.of("D2F605", what, "to read paths that end in NUL, as find -print0 writes: -0")
            require_one_line(name, "standard input", line)
            yield name


LONGEST_NAME = 2**16


def _null_ended(source: Any) -> Iterator[bytes]:
    held = b""
    while data := source.read1(2**16):
        *names, held = (held + data).split(b"\0")
        yield from names
        if len(held) > LONGEST_NAME:
            raise unreadable("standard input", f"no NUL within {LONGEST_NAME} bytes; is it a path a line?", 0)
    yield held


def _read_text(path: str) -> Iterator[tuple[int, str]]:
    folder = os.path.dirname(path)
    try:
        with TextIOWrapper(open_binary(path), encoding="utf-8-sig", errors="surrogateescape") as file:
            for line, text in enumerate(file, 1):
                name = text.rstrip("\r\n")
                # A file's name may hold any bytes; what names no file is text in another encoding.
                if not name.isascii() and encodable(name) != name and not os.path.lexists(joined(folder, name)):
                    raise unreadable(path, "it is not UTF-8 text: save it as UTF-8", line)
                if name:
                    yield line, name
    except OSError as error:
        raise unreadable(path, error.strerror or str(error), 0) from error


STANDARD_INPUT = "-"
"""Named in place of a file: paths on standard input, one a line."""


def find_images(paths: Sequence[str], listing: Listing | None = None) -> Iterator[str]:
    """Find images in files, folders, globs and manifests (``-``: paths on standard input), each once.

    `listing` is filled with what was passed over and repeated, while the images are taken; calls that share one
    (``shared=True``) never give the same image twice. Raises D2FError at the call: D2F002 for each path that does not
    exist, D2F605 for each manifest that cannot be read, D2F003 where no image is found.
    """
    listing = listing if listing is not None else Listing()
    if len(paths) == 1 and not listing.shared and os.path.isdir(paths[0]):
        listing.only_folder()
    problems: list[Problem] = []
    sources: list[Iterator[str]] = []
    for path in paths:
        try:
            sources.append(_open(path, listing, alone=len(paths) == 1))
        except D2FError as error:
            problems += error.problems
    if problems:
        raise D2FError(problems)
    before = listing.met_again
    found = listing.once(chain.from_iterable(sources))
    first = next(found, None)
    if first is None and listing.met_again == before:
        named = ", ".join(repr(path) for path in paths) or "nothing was named"
        hint = "to take every file, whatever its ending: --all-files"
        if not listing.passed_over:
            hint = "to see which formats are read here: d2f doctor"
        raise D2FError.of("D2F003", f"no image was found: {named}", *listing.lines(), hint)
    return found if first is None else chain((first,), found)


def not_found(path: str) -> D2FError:
    """Return the error for a path that does not exist, with the folder that was looked in."""
    try:
        folder = os.path.dirname(os.path.abspath(path.rstrip("/")))
    except OSError:  # the working folder itself is gone
        folder = os.path.dirname(path) or os.curdir
    looked = "looked in" if os.path.isdir(folder) else "its folder does not exist either:"
    return D2FError.of("D2F002", f"{path!r} not found", f"{looked} {folder!r}")


def _open(path: str, listing: Listing, alone: bool) -> Iterator[str]:
    if path == STANDARD_INPUT:
        return read_lines(listing.null)
    if is_url(path):
        return _open_url(path, listing, alone)
    if os.path.isdir(path):
        return walk(path, listing)
    if not os.path.exists(path) and (found := member_of(path)) is not None:
        if is_absent(found[0]):
            raise not_found(found[0])
        return iter((path,))
    if not os.path.exists(path) and is_glob(path):
        return _with_members(match(path, listing), listing)
    if is_absent(path):
        raise not_found(path)
    # Where nobody knows whether it exists, its row says why it cannot be read.
    if is_manifest(path) and os.path.isfile(path) and (alone or _is_list(path, listing)):
        return open_manifest(path)
    return _with_members(iter((path,)), listing)


def _open_url(url: str, listing: Listing, alone: bool) -> Iterator[str]:
    if member_of(url) is not None:
        return iter((url,))
    if is_manifest(url) and alone and not is_glob(url):
        return open_manifest(url)
    from d2f.images.stores import objects

    found = objects(url, listing)
    first = next(found, None)  # what does not exist is found at the call
    return _with_members(iter(()) if first is None else chain((first,), found), listing)


def _with_members(paths: Iterator[str], listing: Listing) -> Iterator[str]:
    """Yield the paths; in the place of each archive, which a search does not meet unless it is named, its images."""
    for path in paths:
        if is_archive(path) and (is_url(path) or os.path.isfile(path)):
            from d2f.images.archives import members

            yield from members(path, listing)
        else:
            yield path


def is_listed_at_once(paths: Sequence[str]) -> bool:
    """Whether listing what is named costs little and can be done twice: no standard input, archive or store."""
    return not any(path == STANDARD_INPUT or is_url(path) or is_archive(path) for path in paths)


LINES_TRIED = 20


def _is_list(path: str, listing: Listing) -> bool:
    """Whether a text or table among other arguments lists paths; where not, it is a file as any other, and noted."""
    try:
        if path.lower().endswith(TABLES):
            next(read_table(path, (COLUMN,)), None)
            return True
        tried = islice(_listed_paths(path, _read_text(path)), LINES_TRIED)
        if any(os.path.lexists(name) for name in tried):
            return True
        why = f"its first {LINES_TRIED} lines name no file"
    except D2FError as error:
        why = error.problems[0].message.removeprefix("the manifest cannot be read: ")
    listing.notes.append(f"{path!r} is taken as a file, not as a list of images: {why}")
    return False
