"""A set scored where an earlier run, or a killed one, has left off: only what is not known is computed."""

from __future__ import annotations

import sqlite3
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from math import nan
from typing import NamedTuple, TypeAlias

from d2f.api.errors import D2FError
from d2f.data.groups import file_sha256
from d2f.data.protocol import Bring
from d2f.engine.loading import load_stages
from d2f.engine.plan import Plan, Scored, Step
from d2f.engine.views import view_tree
from d2f.evaluate.score import Attack, Collector, score_groups
from d2f.plugins.catalog import canonical, code_digest
from d2f.version import __version__


def member_keys(plan: Plan) -> list[str | None]:
    """Return, for each member, what identifies it: detector, options, weights, the view's steps, their code, d2f.

    None where something has no identity: a detector bound by hand, or a stage without a file of code.
    """
    keys: list[str | None] = []
    for detector in plan.detectors:
        code = code_digest(detector.stage)
        for view in detector.views:
            steps = _steps(plan.views[view])
            named = bool(detector.key) and code is not None and steps is not None
            keys.append(canonical([__version__, detector.key, code, steps]) if named else None)
    return keys


def copy_keys(brought: str, attacks: Sequence[Attack]) -> list[str | None]:
    """Return, for the clean copy and that of each attack, what identifies it: how it was brought, name, steps, d2f."""
    keys: list[str | None] = [canonical([__version__, brought])]
    for attack in attacks:
        steps = _steps(attack.steps)
        # The name as well: the copy's digest, and so the seeds of views, are made of it.
        keys.append(None if steps is None else canonical([__version__, brought, attack.name, steps]))
    return keys


def _steps(steps: Sequence[Step]) -> list[list[str]] | None:
    found = []
    for step in steps:
        code = code_digest(step.stage)
        if code is None:
            return None
        found.append([step.key, code])
    return found


TABLES = """
CREATE TABLE IF NOT EXISTS members (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS copies (id INTEGER PRIMARY KEY, key TEXT NOT NULL UNIQUE);
CREATE TABLE IF NOT EXISTS scores (
    image BLOB, copy INTEGER, member INTEGER, score REAL, abstained TEXT, PRIMARY KEY (image, copy, member)
) WITHOUT ROWID;
"""


class Finding(NamedTuple):
    """What is kept of one member of one copy: a score, or the reason of an abstention."""

    copy: int
    member: int
    score: float | None
    abstained: str | None


class KeptScores:
    """An SQLite file of scores; several processes may use it at once."""

    def __init__(self, path: str, copies: Sequence[str | None], members: Sequence[str | None]) -> None:
        self._path = path
        with self._said():
            self._file = sqlite3.connect(path, timeout=60)
            try:
                self._file.execute("PRAGMA journal_mode=WAL")
                self._file.execute("PRAGMA synchronous=NORMAL")
                self._file.executescript(TABLES)
                self._copies, self._members = self._ids("copies", copies), self._ids("members", members)
            except sqlite3.Error:
                self._file.close()
                raise

    def read(self, sha256: str) -> Iterator[Finding]:
        """Yield what is known of an image, by the run's own numbers of copies and members."""
        with self._said():
            asked = "SELECT copy, member, score, abstained FROM scores WHERE image = ?"
            rows = self._file.execute(asked, (bytes.fromhex(sha256),)).fetchall()
        known = {(copy, member): found for copy, member, *found in rows}
        for number, copy in enumerate(self._copies):
            for column, member in enumerate(self._members):
                if (copy, member) in known:
                    yield Finding(number, column, *known[copy, member])

    def write(self, sha256: str, found: Iterable[Finding]) -> None:
        """Keep what was found of an image; all of it or, where the process is killed, nothing."""
        image = bytes.fromhex(sha256)
        rows = [
            (image, self._copies[one.copy], self._members[one.member], one.score, one.abstained)
            for one in found
            if self._copies[one.copy] is not None and self._members[one.member] is not None
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
def kept_scores(path: str, copies: Sequence[str | None], members: Sequence[str | None]) -> Iterator[KeptScores]:
    """Open a file of scores while this context is; see `KeptScores`."""
    with closing(KeptScores(path, copies, members)) as kept:
        yield kept


Part: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Copies and columns that are scored together."""


@dataclass(frozen=True)
class Keeping:
    """Where scores are kept, and how images were brought."""

    path: str
    brought: str


def fill_kept(
    collector: Collector,
    numbers: Sequence[int],
    plan: Plan,
    bring: Bring,
    attacks: Sequence[Attack],
    keeping: Keeping,
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> None:
    """Do what `d2f.evaluate.score.fill` does, and keep the scores as they come.

    A score is read back where image, protocol, attack, view, detector, weights, their code and d2f's version are the
    same. Abstentions are kept with their reason; errors are not, nor what a stage without its weights says.
    """
    settled = view_tree(plan, load_stages(plan))[1]
    with kept_scores(keeping.path, copy_keys(keeping.brought, attacks), member_keys(plan)) as kept:
        run = _Run(collector, kept, frozenset(settled))
        parts = {number: run.left(number) for number in numbers}
        waits = Counter({number: max(1, len(left)) for number, left in parts.items()})

        def done(number: int) -> None:
            waits[number] -= 1
            if tick is not None and not waits[number]:
                tick()

        for number, left in parts.items():
            if not left:
                done(number)
        for part, waiting in _by_part(parts).items():
            copies, columns = part
            chosen = [attacks[copy - 1] for copy in copies if copy]
            some = collector.images.select(waiting)
            groups = score_groups(plan.part(columns), some, bring, chosen, workers=workers, clean=0 in copies)
            for number, group in zip(waiting, groups, strict=True):
                run.take(number, part, group)
                done(number)


class _Run:
    """A table that is filled from what is known and from what is scored.

    `settled` are the members of which the engine knows beforehand that their weights are missing.
    """

    def __init__(self, collector: Collector, kept: KeptScores, settled: frozenset[int]) -> None:
        self.collector, self._kept = collector, kept
        self._every = tuple(range(len(collector.members)))
        self._speaking = tuple(column for column in self._every if column not in settled)

    def left(self, number: int) -> list[Part]:
        """Put what is known of an image into the table; return the parts that are not."""
        copies = range(len(self.collector.names))
        try:
            sha256 = file_sha256(self.collector.images[number].path)
        except OSError:
            return [(tuple(copies), self._every)]
        known = {(one.copy, one.member): one for one in self._kept.read(sha256) if one.member in self._speaking}
        if known:
            self.collector.read(number, sha256)
        for (copy, column), one in known.items():
            self.collector.scores[number, copy, column] = nan if one.score is None else one.score
        missing: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for copy in copies:
            columns = tuple(column for column in self._speaking if (copy, column) not in known)
            # Where no member has its weights, the image must be read all the same.
            if columns or not self._speaking:
                missing[columns or self._every].append(copy)
        return [(tuple(listed), columns) for columns, listed in missing.items()]

    def take(self, number: int, part: Part, group: Sequence[Scored]) -> None:
        """Put what was found of an image into the table, and keep it."""
        copies, columns = part
        for copy, scored in zip(copies, group, strict=True):
            self.collector.add(number, copy, scored, columns)
        sha256 = self.collector.sha256[number]
        if sha256 is not None:
            self._kept.write(sha256, self._findings(part, group))

    def _findings(self, part: Part, group: Sequence[Scored]) -> Iterator[Finding]:
        copies, columns = part
        for copy, scored in zip(copies, group, strict=True):
            # A copy that failed has no members.
            for column, member in zip(columns, scored.members, strict=False):
                if member.error is None and column in self._speaking:
                    yield Finding(copy, column, member.score, member.abstained)


def _by_part(parts: Mapping[int, Sequence[Part]]) -> Mapping[Part, list[int]]:
    numbers: dict[Part, list[int]] = defaultdict(list)
    for number, left in parts.items():
        for part in left:
            numbers[part].append(number)
    return numbers
