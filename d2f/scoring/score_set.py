"""A set scored: the engine over every copy of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import numpy as np

from d2f.api.errors import D2FError
from d2f.api.rows import Failure
from d2f.data.dataset import Dataset
from d2f.engine.plan import Plan
from d2f.engine.score import load_ahead, score_images
from d2f.engine.scored import Scored
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
    files = load_ahead((image.path for image in images), workers=workers)
    every = score_images(plan, copies(files, bring, attacks), workers=workers)
    names = (CLEAN, *(attack.name for attack in attacks))
    scores = np.full((len(images), len(names), len(plan.cells)), np.nan)
    log = _Log(names)
    for number, group in enumerate(_groups(every, len(names))):
        log.add(number, group)
        for copy, scored in enumerate(group):
            if scored.cells:
                scores[number, copy] = scored.scores
        if tick is not None:
            tick()
    read = np.array([digest is not None for digest in log.sha256], dtype=bool)
    if not read.any():
        raise D2FError.of("D2F601", f"none of the {len(images)} images could be read", *log.first_reason())
    digests = tuple(digest for digest in log.sha256 if digest is not None)
    kept = images.select(read)
    return ScoreTable(kept, digests, names, plan.cell_names, scores[read], tuple(log.unread), tuple(log.failed))


def _groups(scored: Iterator[Scored], size: int) -> Iterator[list[Scored]]:
    while group := list(islice(scored, size)):
        yield group


class _Log:
    """What was read and what failed, image by image."""

    def __init__(self, names: Sequence[str]) -> None:
        self.names = names
        self.sha256: list[str | None] = []
        self.unread: list[tuple[str, Failure]] = []
        self.failed: list[tuple[str, str, Failure]] = []

    def add(self, number: int, group: Sequence[Scored]) -> None:
        clean = group[0]
        self.sha256.append(None if clean.failure else clean.sha256)
        if clean.failure:
            self.unread.append((clean.path, clean.failure))
            return
        for name, scored in zip(self.names, group, strict=True):
            if scored.failure:
                self.failed.append((scored.path, name, scored.failure))
            self.failed += [(scored.path, cell.name, cell.error) for cell in scored.cells if cell.error]

    def first_reason(self) -> tuple[str, ...]:
        return tuple(f"{path}: {failure.code} {failure.message}" for path, failure in self.unread[:1])
