"""A set scored: the engine over every copy of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.rows import Failure
from d2f.data.dataset import Dataset
from d2f.engine.plan import Plan
from d2f.engine.score import load_ahead, score_images
from d2f.engine.scored import Scored
from d2f.engine.watch import Observe
from d2f.scoring.attack import Attack
from d2f.scoring.copies import CLEAN, copies
from d2f.scoring.protocol import Bring
from d2f.scoring.table import ScoreTable


def score_set(
    plan: Plan,
    images: Dataset,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> ScoreTable:
    """Score every image of a set, as it was brought and under each attack.

    Parameters
    ----------
    plan : Plan
        Its decision is not used.
    images : Dataset
    bring : callable
        From `d2f.scoring.protocol`.
    attacks : sequence of Attack
    workers : int, optional
        Threads; by default the cores that the process may use. Scores do not depend on it.
    tick : callable, optional
        Called after each image.

    Raises
    ------
    D2FError
        Exit code 3 where a stage cannot be loaded; D2F601 where no image could be read.
    """
    names = (CLEAN, *(attack.name for attack in attacks))
    groups = score_groups(plan, images, bring, attacks, workers=workers, tick=tick)
    return collect(images, names, plan.cell_names, enumerate(groups))


def score_groups(
    plan: Plan,
    images: Dataset,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
    observe: Observe | None = None,
) -> Iterator[list[Scored]]:
    """Yield, image by image, the scores of its copies: the clean one first, then one for each attack.

    Parameters are those of `score_set`; `observe` is told of every stage, and of protocol and attacks.
    """
    files = load_ahead((image.path for image in images), workers=workers, observe=observe)
    every = score_images(plan, copies(files, bring, attacks, observe), workers=workers, observe=observe)
    for group in _groups(every, 1 + len(attacks)):
        yield group
        if tick is not None:
            tick()


def collect(
    images: Dataset, names: Sequence[str], cells: Sequence[str], groups: Iterable[tuple[int, Sequence[Scored]]]
) -> ScoreTable:
    """Put scores into a table.

    Parameters
    ----------
    images : Dataset
    names : sequence of str
        Of the copies.
    cells : sequence of str
    groups : iterable of (int, sequence of Scored)
        An image's place in the set and its copies, in any order.

    Raises
    ------
    D2FError
        D2F601 where no image could be read.
    """
    scores = np.full((len(images), len(names), len(cells)), np.nan)
    log = _Log(names, len(images))
    for number, group in groups:
        log.add(number, group)
        for copy, scored in enumerate(group):
            if scored.cells:
                scores[number, copy] = scored.scores
    read = np.array([digest is not None for digest in log.sha256], dtype=bool)
    if not read.any():
        raise D2FError.of("D2F601", f"none of the {len(images)} images could be read", *log.first_reason())
    digests = tuple(digest for digest in log.sha256 if digest is not None)
    kept = images.select(read)
    return ScoreTable(kept, digests, tuple(names), tuple(cells), scores[read], tuple(log.unread()), tuple(log.failed()))


def _groups(scored: Iterator[Scored], size: int) -> Iterator[list[Scored]]:
    while group := list(islice(scored, size)):
        yield group


class _Log:
    """What was read and what failed, image by image; told in the set's order."""

    def __init__(self, names: Sequence[str], count: int) -> None:
        self.names = names
        self.sha256: list[str | None] = [None] * count
        self._unread: dict[int, tuple[str, Failure]] = {}
        self._failed: dict[int, list[tuple[str, str, Failure]]] = {}

    def add(self, number: int, group: Sequence[Scored]) -> None:
        clean = group[0]
        if clean.failure:
            self._unread[number] = (clean.path, clean.failure)
            return
        self.sha256[number] = clean.sha256
        failed = []
        for name, scored in zip(self.names, group, strict=True):
            if scored.failure:
                failed.append((scored.path, name, scored.failure))
            failed += [(scored.path, cell.name, cell.error) for cell in scored.cells if cell.error]
        if failed:
            self._failed[number] = failed

    def unread(self) -> list[tuple[str, Failure]]:
        return [self._unread[number] for number in sorted(self._unread)]

    def failed(self) -> list[tuple[str, str, Failure]]:
        return [one for number in sorted(self._failed) for one in self._failed[number]]

    def first_reason(self) -> tuple[str, ...]:
        return tuple(f"{path}: {failure.code} {failure.message}" for path, failure in self.unread()[:1])
