"""The columns of flat rows, and the formats that rows are written in."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import is_dataclass
from pathlib import PurePath
from typing import Any, Literal, Protocol, TypeAlias, get_args, get_type_hints

from d2f.api.errors import D2FError
from d2f.api.rows import Failure, Member, Row, encodable, path_of


def finite_or_none(value: float | None) -> float | None:
    """Return `value`, or None where it is not finite: NaN and infinity are never written."""
    if value is None or not math.isfinite(value):
        return None
    return float(value)


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
        return finite_or_none(value)
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
        ...

    def close(self) -> None:
        """Bring everything to its place; a closed writer may be closed again."""
        ...
