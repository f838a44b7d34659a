"""What a row found, in words for a person."""

from __future__ import annotations

from d2f.api.rows import Cell, Row
from d2f.output.values import printable

STRONGEST = 2
"""How many cells are named."""

WEAKEST = 0.05
"""In nats; what would be shown as 0.0 is left out."""


def verdict(row: Row) -> str:
    """Return the verdict and its probability, such as ``generated     0.9710``."""
    if row.error is not None:
        return "failed"
    probability = "" if row.probability is None else f"{row.probability:.4f}"
    return f"{row.verdict or 'none':<12}  {probability}".rstrip()


def findings(row: Row) -> list[str]:
    """Return the error, or the strongest cells, cells that failed and flips, a line each."""
    if row.error is not None:
        return [printable(f"{row.error.code}: {row.error.message}")]
    failed = [f"{cell.name} {cell.error.code}: {cell.error.message}" for cell in row.stages if cell.error]
    flips = [f"turns: {flip}" for flip in row.flips]
    return [printable(line) for line in [*(_strongest(row) or _silent(row)), *failed, *flips]]


def _strongest(row: Row) -> list[str]:
    """Return the cells that moved the verdict most; a + speaks for generated, a - for real."""
    moved = sorted((cell for cell in row.stages if _strength(cell) >= WEAKEST), key=_strength, reverse=True)
    return [_said(cell) for cell in moved[:STRONGEST]]


def _strength(cell: Cell) -> float:
    return abs(cell.contribution or 0.0)


def _said(cell: Cell) -> str:
    return f"{cell.contribution:+.1f} {cell.name}{_evidence(cell)}"


def _evidence(cell: Cell) -> str:
    return f": {cell.evidence}" if cell.evidence else ""


def _silent(row: Row) -> list[str]:
    """Return why nothing moved the verdict: scores that nothing calibrates yet, the first detector that abstained."""
    if row.probability is not None:
        return []
    abstained = [f"{cell.name} abstained: {cell.abstained}" for cell in row.stages if cell.abstained]
    uncalibrated = [cell for cell in row.stages if cell.score is not None and cell.probability is None]
    scores = [f"{cell.name} = {cell.score:.4g}{_evidence(cell)}" for cell in uncalibrated if cell.error is None]
    return [*(scores or ["too few scores"]), *abstained[:1]]
