"""A set scored where an earlier run, or a killed one, has left off: only what is not known is computed."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import nan
from typing import TypeAlias

from d2f.data.digest import file_sha256
from d2f.engine.loading import load_stages
from d2f.engine.plan import Plan
from d2f.engine.scored import Scored
from d2f.engine.tree import grow
from d2f.scoring.attack import Attack
from d2f.scoring.collector import Collector
from d2f.scoring.identity import cell_keys, copy_keys
from d2f.scoring.kept import Finding, KeptScores, kept_scores
from d2f.scoring.protocol import Bring
from d2f.scoring.score_set import score_groups

Part: TypeAlias = tuple[tuple[int, ...], tuple[int, ...]]
"""Copies and columns that are scored together."""


@dataclass(frozen=True)
class Keeping:
    """Where scores are kept, and how images were brought.

    Parameters
    ----------
    path : str
        An SQLite file, made where it is missing.
    brought : str
        Tells one protocol and seed from another; see `d2f.scoring.protocol.fitting_key`.
    """

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
    """Do what `d2f.scoring.score_set.fill` does, and keep the scores as they come.

    A score is read back where image, protocol, attack, view, detector, weights, their code and d2f's version are the
    same. Abstentions are kept with their reason; errors are not, nor what a stage without its weights says.

    Raises
    ------
    D2FError
        As `fill`, and D2F004 where the file cannot be used.
    """
    settled = grow(plan, load_stages(plan))[1]
    with kept_scores(keeping.path, copy_keys(keeping.brought, attacks), cell_keys(plan)) as kept:
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

    `settled` are the cells of which the engine knows beforehand that their weights are missing.
    """

    def __init__(self, collector: Collector, kept: KeptScores, settled: frozenset[int]) -> None:
        self.collector, self._kept = collector, kept
        self._every = tuple(range(len(collector.cells)))
        self._speaking = tuple(column for column in self._every if column not in settled)

    def left(self, number: int) -> list[Part]:
        """Put what is known of an image into the table; return the parts that are not."""
        copies = range(len(self.collector.names))
        try:
            sha256 = file_sha256(self.collector.images[number].path)
        except OSError:
            return [(tuple(copies), self._every)]
        known = {(one.copy, one.cell): one for one in self._kept.read(sha256) if one.cell in self._speaking}
        if known:
            self.collector.read(number, sha256)
        for (copy, column), one in known.items():
            self.collector.scores[number, copy, column] = nan if one.score is None else one.score
        missing: dict[tuple[int, ...], list[int]] = defaultdict(list)
        for copy in copies:
            columns = tuple(column for column in self._speaking if (copy, column) not in known)
            # Where no cell has its weights, the image must be read all the same.
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
            # A copy that failed has no cells.
            for column, cell in zip(columns, scored.cells, strict=False):
                if cell.error is None and column in self._speaking:
                    yield Finding(copy, column, cell.score, cell.abstained)


def _by_part(parts: Mapping[int, Sequence[Part]]) -> Mapping[Part, list[int]]:
    numbers: dict[Part, list[int]] = defaultdict(list)
    for number, left in parts.items():
        for part in left:
            numbers[part].append(number)
    return numbers
