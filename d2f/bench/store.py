"""Scores kept in parts as they come, so that a run that was killed goes on where it stopped."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from d2f.api.errors import D2FError
from d2f.api.rows import Cell, Failure
from d2f.engine.scored import Scored
from d2f.output import refusals
from d2f.output.append import Mode
from d2f.output.parquet_parts import PartsFolder

PART_ROWS = 4096
PART_SECONDS = (2.0, 60.0)
"""A part is closed when it has `PART_ROWS` rows, or is so old: 2 s the first, then twice as long each, up to 60 s."""


class Store:
    """A folder of Parquet parts: a row for each copy of each image, all copies of an image in one part.

    Parameters
    ----------
    folder : Path
    run : str
        What identifies the run: parts of another are refused.
    names : sequence of str
        Of the copies.
    cells : sequence of (str, str)
        (detector, view) of each cell.
    mode : {'new', 'overwrite', 'resume'}

    Raises
    ------
    D2FError
        D2F004 where the folder cannot be used, D2F005 where its parts belong to another run.
    """

    def __init__(self, folder: Path, run: str, names: Sequence[str], cells: Sequence[tuple[str, str]], mode: Mode):
        self._names, self._cells, self._run = tuple(names), tuple(cells), run
        self._rows: list[dict[str, Any]] = []
        self._patience, self._since = PART_SECONDS[0], time.monotonic()
        self._parts = PartsFolder(str(folder), mode)
        try:
            self.done = frozenset(number for number, _ in self.groups(scores=False))
        except D2FError:
            self.close()
            raise

    def add(self, number: int, group: Sequence[Scored]) -> None:
        """Keep an image's copies; write a part when one is due."""
        self._rows += [self._row(number, copy, scored) for copy, scored in enumerate(group)]
        if len(self._rows) >= PART_ROWS or time.monotonic() - self._since >= self._patience:
            self._patience = min(2 * self._patience, PART_SECONDS[1])
            self.flush()

    def flush(self) -> None:
        """Write what is kept in memory."""
        import pyarrow

        if self._rows:
            self._parts.add(pyarrow.Table.from_pylist(self._rows, self._schema()))
        self._rows, self._since = [], time.monotonic()

    def groups(self, scores: bool = True) -> Iterator[tuple[int, list[Scored]]]:
        """Yield what was written, image by image; without `scores`, copies are empty."""
        import pyarrow.parquet

        for part in self._parts.parts():
            try:
                table = pyarrow.parquet.ParquetFile(part)
                if (table.schema_arrow.metadata or {}).get(b"d2f.bench_run", b"").decode() != self._run:
                    raise _another(self._parts.path)
                rows = table.read(None if scores else ["image"]).to_pylist()
            except (OSError, ValueError, KeyError, pyarrow.ArrowException) as error:
                raise refusals.unreadable(self._parts.path, f"{part.name}: {error}") from error
            for number, group in groupby(rows, key=lambda row: row["image"]):
                yield number, [self._scored(row) for row in group] if scores else []

    def close(self) -> None:
        """Unlock; what was not flushed is lost."""
        self._parts.close()

    def remove(self) -> None:
        """Delete the parts, once everything in them stands elsewhere."""
        for part in self._parts.parts():
            part.unlink()
        self.close()
        Path(self._parts.path).rmdir()

    def _schema(self) -> Any:
        import pyarrow as pa

        fields = [("image", pa.int32()), ("copy", pa.int16()), ("path", pa.string()), ("sha256", pa.string())]
        fields += [("code", pa.string()), ("message", pa.string())]
        for detector, view in self._cells:
            fields += [(f"{detector}/{view}", pa.float64()), (f"{detector}/{view}:why", pa.string())]
        return pa.schema(fields, metadata={"d2f.bench_run": self._run})

    def _row(self, number: int, copy: int, scored: Scored) -> dict[str, Any]:
        row: dict[str, Any] = {"image": number, "copy": copy, "path": scored.path, "sha256": scored.sha256}
        if scored.failure:
            row |= {"code": scored.failure.code, "message": scored.failure.message}
        for cell in scored.cells:
            row[cell.name] = cell.score
            row[f"{cell.name}:why"] = f"{cell.error.code} {cell.error.message}" if cell.error else cell.abstained
        return row

    def _scored(self, row: dict[str, Any]) -> Scored:
        failure = Failure(row["code"], row["message"]) if row["code"] else None
        cells = () if failure else tuple(self._cell(row, *names) for names in self._cells)
        return Scored(row["path"], row["sha256"], None, None, None, cells, failure)

    def _cell(self, row: dict[str, Any], detector: str, view: str) -> Cell:
        score, why = row[f"{detector}/{view}"], row[f"{detector}/{view}:why"]
        if score is not None and not math.isnan(score):
            return Cell(detector, view, score)
        code, _, message = (why or "").partition(" ")
        if code.startswith("D2F") and code[3:].isdigit():
            return Cell(detector, view, error=Failure(code, message))
        return Cell(detector, view, abstained=why)


def _another(name: str) -> D2FError:
    return D2FError.of(
        "D2F005",
        f"'{name}' holds scores of another run: other chains, images, attacks or protocol",
        "repeat that run's command with --resume, replace it with --overwrite, or choose another folder with -o",
    )
