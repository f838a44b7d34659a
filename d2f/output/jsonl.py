"""JSON lines: one row a line, as `Row.to_dict` orders it."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any, BinaryIO

from d2f.api.rows import VERDICT_WORDS, Failure, Member, Row, encodable, path_of
from d2f.output import append as refusals
from d2f.output.append import LARGEST_RECORD, AppendFile, StandardOutput
from d2f.output.columns import AS_JSON

START = b'{"path": '
"""How every line starts; a torn one that starts otherwise is not ours to cut."""


class JsonlWriter:
    """Writes a row as soon as it is given."""

    def __init__(self, file: AppendFile | StandardOutput) -> None:
        self._file = file

    def write(self, row: Row) -> None:
        """Write one line."""
        self._file.append(json_line(row))

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def json_line(row: Row) -> bytes:
    """Return the row's line: UTF-8, ending in a newline."""
    plain = row.to_dict()
    try:
        text = json.dumps(plain, ensure_ascii=False, allow_nan=False)
    except ValueError:
        text = json.dumps(_all_finite(plain), ensure_ascii=False, allow_nan=False)
    return encodable(text).encode() + b"\n"


def row_of_line(line: bytes) -> Row:
    """Return the row of a line."""
    return row_of_data(json.loads(line.decode()))


def row_of_data(plain: Any) -> Row:
    """Return the row of what a line holds, which is taken apart; ValueError where that is no row."""
    try:
        records = {name: tuple(record(**one) for one in plain[name]) for name, record in AS_JSON.items()}
        members = tuple(Member(**{**one, "error": _failure(one["error"])}) for one in plain["stages"])
        disagreements = tuple(plain["disagreements"])
        parts = {"stages": members, "disagreements": disagreements, "error": _failure(plain["error"])}
        if not isinstance(plain["path"], str):
            raise TypeError(f"path is {plain['path']!r}, not text")
        if plain["verdict"] is not None and plain["verdict"] not in VERDICT_WORDS:
            raise TypeError(f"unknown verdict {plain['verdict']!r}")
        path = path_of(plain["path"], plain.pop("path_bytes"))
        return Row(**{**plain, "path": path, **records, **parts})
    except (TypeError, KeyError) as error:
        raise ValueError(f"not a row of d2f: {error}") from error


def json_lines(file: BinaryIO) -> Iterator[bytes]:
    """Yield the lines that are whole."""
    while (line := file.readline(LARGEST_RECORD)).endswith(b"\n"):
        yield line


def resume_jsonl(file: AppendFile) -> Iterator[Row]:
    """Yield the rows that a file holds, then cut off a torn last line."""
    end = 0
    for number, line in enumerate(file.records(json_lines), start=1):
        try:
            row = row_of_line(line)
        except ValueError as error:
            raise refusals.cannot_resume(file.path, f"line {number}: {error}") from error
        yield row
        end += len(line)
    torn = file.tail(end)
    if not START.startswith(torn[: len(START)]):
        raise refusals.cannot_resume(file.path, "its last line is not the beginning of a row")
    file.cut_torn(end)


def _all_finite(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _all_finite(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_all_finite(inner) for inner in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _failure(plain: Mapping[str, str] | None) -> Failure | None:
    return None if plain is None else Failure(**plain)
