"""A row laid flat: one column for each value of each cell, for CSV and Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

from d2f.api.rows import Cell, Failure, Row
from d2f.output.values import encodable, finite

Value: TypeAlias = str | int | float | None

BEFORE_CELLS: Mapping[str, type] = {
    "path": str,
    "sha256": str,
    "width": int,
    "height": int,
    "format": str,
    "probability": float,
    "verdict": str,
    "flips": str,
    "llr": float,
}
OF_A_CELL: Mapping[str, type] = {
    "score": float,
    "probability": float,
    "contribution": float,
    "abstained": str,
    "error": str,
    "evidence": str,
}
AFTER_CELLS: Mapping[str, type] = {"chain": str, "chain_digest": str, "error_code": str, "error_message": str}

FLIPS_JOINED = "; "


def columns(cells: Iterable[tuple[str, str]]) -> dict[str, type]:
    """Return the name and type of each column, in order; a cell's are called ``detector/view:score`` and so on."""
    of_cells = {f"{detector}/{view}:{key}": kind for detector, view in cells for key, kind in OF_A_CELL.items()}
    return {**BEFORE_CELLS, **of_cells, **AFTER_CELLS}


def cells_of(names: Iterable[str]) -> tuple[tuple[str, str], ...]:
    """Return the (detector, view) pairs that columns of these names hold, in order."""
    found = (name.removesuffix(":score").partition("/") for name in names if name.endswith(":score"))
    return tuple((detector, view) for detector, _, view in found)


def flatten(row: Row) -> dict[str, Value]:
    """Return a row as one mapping of column to value; what a row has not is not in it."""
    error = row.error or Failure("", "")
    flat: dict[str, Value] = {
        "path": row.path,
        "sha256": row.sha256,
        "width": row.width,
        "height": row.height,
        "format": row.format,
        "probability": row.probability,
        "verdict": row.verdict,
        "flips": FLIPS_JOINED.join(row.flips),
        "llr": row.llr,
        "chain": row.chain,
        "chain_digest": row.chain_digest,
        "error_code": error.code,
        "error_message": error.message,
    }
    for cell in row.stages:
        flat |= {f"{cell.name}:{key}": value for key, value in _of_cell(cell).items()}
    return {name: _clean(value) for name, value in flat.items()}


def unflatten(flat: Mapping[str, Any], cells: Iterable[tuple[str, str]]) -> Row:
    """Return the row that `flatten` laid flat; a cell without any value is left out."""
    found = (_cell(flat, detector, view) for detector, view in cells)
    code, message = flat["error_code"], flat["error_message"]
    return Row(
        **{name: flat[name] for name in BEFORE_CELLS if name != "flips"},
        flips=tuple(flat["flips"].split(FLIPS_JOINED)) if flat["flips"] else (),
        stages=tuple(cell for cell in found if cell is not None),
        chain=flat["chain"],
        chain_digest=flat["chain_digest"],
        error=Failure(code, message or "") if code else None,
    )


def _clean(value: Value) -> Value:
    if isinstance(value, float):
        return finite(value)
    if isinstance(value, str):
        return encodable(value) or None
    return value


def _of_cell(cell: Cell) -> dict[str, Value]:
    error = f"{cell.error.code}: {cell.error.message}" if cell.error else None
    return {key: error if key == "error" else getattr(cell, key) for key in OF_A_CELL}


def _cell(flat: Mapping[str, Any], detector: str, view: str) -> Cell | None:
    values = {key: flat[f"{detector}/{view}:{key}"] for key in OF_A_CELL}
    if all(value is None for value in values.values()):
        return None
    if values["error"] is not None:
        code, _, message = values["error"].partition(": ")
        values["error"] = Failure(code, message)
    return Cell(detector, view, **values)
