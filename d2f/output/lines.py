"""Rows as lines: JSON as `Row.to_dict` orders it; CSV with one column a value, which Parquet has too."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import is_dataclass
from typing import Any, BinaryIO, TypeAlias, get_args, get_type_hints

from d2f.api.rows import VERDICT_WORDS, Failure, Member, Row, encodable, path_of
from d2f.output import append as refusals
from d2f.output.append import LARGEST_RECORD, AppendFile, Head, StandardOutput


def printable(text: str) -> str:
    r"""Return `text` on one line and harmless on a terminal: control characters are escaped, U+FFFD is what is no text.

    >>> printable("two\nlines\x1b[31m")
    'two\\nlines\\x1b[31m'
    """
    if text.isprintable():
        return text
    signs = encodable(text)
    return "".join(sign if sign.isprintable() else sign.encode("unicode_escape").decode() for sign in signs)


Value: TypeAlias = str | int | float | None


def _column_type(hint: Any) -> type:
    """Return the type of a field's column: a number's own, text for all else."""
    kinds = get_args(hint) or (hint,)
    return next((kind for kind in (int, float) if kind in kinds), str)


ROW, MEMBER = get_type_hints(Row), get_type_hints(Member)
ORDER = tuple(ROW)
STAGES = ORDER.index("stages")
BEFORE_MEMBERS: Mapping[str, type] = {
    "path": str,
    "path_bytes": str,
    **{name: _column_type(ROW[name]) for name in ORDER[1:STAGES]},
}
OF_A_MEMBER: Mapping[str, type] = {
    name: _column_type(hint) for name, hint in MEMBER.items() if name not in ("detector", "view", "tiles")
}
AFTER_MEMBERS: Mapping[str, type] = {
    **{name: _column_type(ROW[name]) for name in ORDER[STAGES + 1 :] if name != "error"},
    "error_code": str,
    "error_message": str,
}
AS_JSON: Mapping[str, Any] = {
    name: get_args(hint)[0]
    for name, hint in ROW.items()
    if name != "stages" and get_args(hint)[1:] == (...,) and is_dataclass(get_args(hint)[0])
}
"""Columns that hold a JSON list of records, as `plugins` holds a JSON mapping; empty where there is none."""

JOINED = "; "
"""Between two disagreements."""


def columns(members: Iterable[tuple[str, str]]) -> dict[str, type]:
    """Return the name and type of each column, in order; a member's are called ``detector/view:score`` and so on."""
    of_members = {f"{detector}/{view}:{key}": kind for detector, view in members for key, kind in OF_A_MEMBER.items()}
    return {**BEFORE_MEMBERS, **of_members, **AFTER_MEMBERS}


def members_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the (detector, view) pairs that columns of these names hold, in order."""
    found = (name.removesuffix(":score").partition("/") for name in names if name.endswith(":score"))
    return tuple((detector, view) for detector, _, view in found)


def flatten(row: Row) -> dict[str, Value]:
    """Return a row as one mapping of column to value; columns without a value are left out or None."""
    plain = row.to_dict()
    flat: dict[str, Value] = {name: plain[name] for name in BEFORE_MEMBERS}
    flat |= {name: json.dumps(plain[name], ensure_ascii=False) if plain[name] else None for name in AS_JSON}
    flat["disagreements"] = JOINED.join(row.disagreements)
    for member in row.stages:
        error = f"{member.error.code}: {member.error.message}" if member.error else None
        values = {key: error if key == "error" else getattr(member, key) for key in OF_A_MEMBER}
        flat |= {f"{member.name}:{key}": value for key, value in values.items()}
    flat |= {"chain": row.chain, "chain_digest": row.chain_digest}
    flat["plugins"] = json.dumps(plain["plugins"], ensure_ascii=False) if row.plugins else None
    if row.error is not None:
        flat |= {"error_code": row.error.code, "error_message": row.error.message}
    return {name: _clean(value) for name, value in flat.items()}


def unflatten(flat: Mapping[str, Any], members: Iterable[tuple[str, str]]) -> Row:
    """Return the row that `flatten` made flat; a member without any value is left out."""
    found = (_member_of_columns(flat, detector, view) for detector, view in members)
    code, message = flat["error_code"], flat["error_message"]
    lists = {name: tuple(record(**one) for one in json.loads(flat[name] or "[]")) for name, record in AS_JSON.items()}
    disagreements = tuple(flat["disagreements"].split(JOINED)) if flat["disagreements"] else ()
    values = {name: flat[name] for name in BEFORE_MEMBERS} | lists | {"disagreements": disagreements}
    values["path"] = path_of(values["path"], values.pop("path_bytes"))
    return Row(
        **values,
        stages=tuple(member for member in found if member is not None),
        chain=flat["chain"],
        chain_digest=flat["chain_digest"],
        plugins=json.loads(flat["plugins"] or "{}"),
        error=Failure(code, message or "") if code else None,
    )


def _clean(value: Value) -> Value:
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None  # NaN and infinity are never written
    if isinstance(value, str):
        return encodable(value) or None
    return value


def _member_of_columns(flat: Mapping[str, Any], detector: str, view: str) -> Member | None:
    values = {key: flat[f"{detector}/{view}:{key}"] for key in OF_A_MEMBER}
    if all(value is None for value in values.values()):
        return None
    if values["error"] is not None:
        code, _, message = values["error"].partition(": ")
        values["error"] = Failure(code, message)
    return Member(detector, view, **values)


START = b'{"path": '
"""How every line of JSON starts; a torn one that starts otherwise is not ours to cut."""


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


class CsvWriter:
    """Writes a row as soon as it is given, the header before the first or, with no rows, at the end."""

    def __init__(self, file: AppendFile | StandardOutput, head: Head, with_header: bool = True) -> None:
        self._file = file
        self._columns = tuple(columns(head.members))
        self._header_due = with_header

    def write(self, row: Row) -> None:
        """Write one record."""
        self._header()
        flat = flatten(row)
        self._file.append(csv_record([flat.get(name) for name in self._columns]))

    def close(self) -> None:
        """Write the header if nothing else was written, and close the file."""
        self._header()
        self._file.close()

    def _header(self) -> None:
        if self._header_due:
            self._header_due = False
            self._file.append(csv_record(self._columns))


def csv_record(fields: Sequence[Any]) -> bytes:
    r"""Return one record: UTF-8, ending in a newline; line ends inside a field are in quotes."""
    text = io.StringIO()
    # The csv module quotes a lone \r only where the line end has one.
    csv.writer(text, lineterminator="\r\n").writerow(fields)
    return text.getvalue().removesuffix("\r\n").encode() + b"\n"


def csv_fields(record: bytes) -> list[str]:
    """Return the fields of one record."""
    (fields,) = csv.reader(io.StringIO(record.decode(), newline=""), strict=True)
    return fields


def csv_records(file: BinaryIO) -> Iterator[bytes]:
    """Yield the records that are whole: a newline ends one where the quotes before it are even in number."""
    held, open_quote = bytearray(), False
    while line := file.readline(LARGEST_RECORD):
        held += line
        open_quote ^= bool(line.count(b'"') % 2)
        if line.endswith(b"\n") and not open_quote:
            yield bytes(held)
            held.clear()
        elif len(held) >= LARGEST_RECORD:
            return


def _read_csv(records: Iterator[bytes]) -> Iterator[tuple[Row | None, int]]:
    """Yield (None, length) for the header, then (row, length) for each record; lengths are in bytes."""
    header = next(records, None)
    if header is None:
        return
    names = csv_fields(header)
    members = members_of(names)
    kinds = columns(members)
    if names != list(kinds):
        raise ValueError("it does not begin with the columns of a result")
    yield None, len(header)
    for record in records:
        fields = zip(names, csv_fields(record), strict=True)
        flat = {name: kinds[name](text) if text else None for name, text in fields}
        yield unflatten(flat, members), len(record)


def resume_csv(file: AppendFile, head: Head) -> Iterator[Row]:
    """Yield the rows that a file holds, then cut off a torn last record."""
    ours = csv_record(tuple(columns(head.members)))
    end = 0
    try:
        for row, length in _read_csv(file.records(csv_records)):
            if row is not None:
                yield row
            end += length
    except (ValueError, csv.Error) as error:
        raise refusals.cannot_resume(file.path, f"at byte {end}: {error}") from error
    if not end and not ours.startswith(file.tail(0)):
        raise refusals.cannot_resume(file.path, "it does not begin with the columns of a result")
    if end and file.start(len(ours)) != ours:
        raise refusals.other_chain(file.path, "", head.digest)
    if b"\n" in file.tail(end).partition(head.digest.encode())[2]:
        # A torn record ends the file; here another record follows, taken up by a quote that is not closed.
        raise refusals.cannot_resume(file.path, f"at byte {end}: a quote is not closed")
    file.cut_torn(end)
