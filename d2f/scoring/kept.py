"""Scores kept on disk: what a detector said of a copy of an image is computed once."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from typing import NamedTuple

from d2f.api.errors import D2FError

TABLES = """
CREATE TABLE IF NOT EXISTS cells (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS copies (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS scores (
    image BLOB, copy INTEGER, cell INTEGER, score REAL, abstained TEXT, PRIMARY KEY (image, copy, cell)
) WITHOUT ROWID;
"""


class Finding(NamedTuple):
    """What is kept of one cell of one copy: a score, or the reason of an abstention."""

    copy: int
    cell: int
    score: float | None
    abstained: str | None


class KeptScores:
    """An SQLite file of scores; several processes may use it at once.

    Parameters
    ----------
    path : str
        Made where it is missing.
    copies, cells : sequence of str or None
        What identifies each copy and each cell of a run; nothing is kept of one without.

    Raises
    ------
    D2FError
        D2F004, here and later, where the file cannot be used.
    """

    def __init__(self, path: str, copies: Sequence[str | None], cells: Sequence[str | None]) -> None:
        self._path = path
        with self._said():
            self._file = sqlite3.connect(path, timeout=60)
            try:
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute("PRAGMA synchronous=NORMAL")
                self._file.executescript(TABLES)
                self._copies, self._cells = self._ids("copies", copies), self._ids("cells", cells)
            except sqlite3.Error:
                self._file.close()
                raise

    def read(self, sha256: str) -> Iterator[Finding]:
        """Yield what is known of an image, by the run's own numbers of copies and cells."""
        with self._said():
            asked = "SELECT copy, cell, score, abstained FROM scores WHERE image = ?"
            rows = self._file.execute(asked, (bytes.fromhex(sha256),)).fetchall()
        known = {(copy, cell): found for copy, cell, *found in rows}
        for number, copy in enumerate(self._copies):
            for column, cell in enumerate(self._cells):
                if (copy, cell) in known:
                    yield Finding(number, column, *known[copy, cell])

    def write(self, sha256: str, found: Iterable[Finding]) -> None:
        """Keep what was found of an image; all of it or, where the process is killed, nothing."""
        image = bytes.fromhex(sha256)
        rows = [
            (image, self._copies[one.copy], self._cells[one.cell], one.score, one.abstained)
            for one in found
            if self._copies[one.copy] is not None and self._cells[one.cell] is not None
        ]
        with self._said(), self._file:
            self._file.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?, ?, ?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _ids(self, table: str, keys: Sequence[str | None]) -> list[int | None]:
        said = [(key,) for key in keys if key is not None]
        with self._file:
            self._file.executemany(f"INSERT OR IGNORE INTO {table} (key) VALUES (?)", said)
        ids = {key: number for number, key in self._file.execute(f"SELECT id, key FROM {table}")}
        return [None if key is None else ids[key] for key in keys]

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as error:
            raise D2FError.of("D2F004", f"scores cannot be kept in '{self._path}': {error}") from error


@contextmanager
def kept_scores(path: str, copies: Sequence[str | None], cells: Sequence[str | None]) -> Iterator[KeptScores]:
    """Open a file of scores while this context is; see `KeptScores`."""
    with closing(KeptScores(path, copies, cells)) as kept:
        yield kept
