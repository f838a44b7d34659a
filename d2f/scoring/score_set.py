"""A set scored: the engine over every copy of every image."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

from d2f.data.dataset import Dataset
from d2f.engine.plan import Plan
from d2f.engine.score import load_ahead, score_images
from d2f.engine.scored import Scored
from d2f.engine.watch import Observe
from d2f.scoring.attack import Attack
from d2f.scoring.collector import Collector
from d2f.scoring.copies import copies
from d2f.scoring.protocol import Bring
from d2f.scoring.table import ScoreTable


def fill(
    collector: Collector,
    numbers: Sequence[int],
    plan: Plan,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
) -> None:
    """Score images of a set, as they were brought and under each attack, into a collector.

    Parameters
    ----------
    collector : Collector
        Of the whole set; its copies are the clean one and then the attacks.
    numbers : sequence of int
        Places in the set of the images that are scored.
    plan : Plan
        Its decision is not used.
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
        Exit code 3 where a stage cannot be loaded.
    """
    some = collector.images.select(list(numbers))
    groups = score_groups(plan, some, bring, attacks, workers=workers, tick=tick)
    for number, group in zip(numbers, groups, strict=True):
        put(collector, number, group)


def put(collector: Collector, number: int, group: Sequence[Scored]) -> None:
    """Put the copies of one image, the clean one first, into a collector."""
    for copy, scored in enumerate(group):
        collector.add(number, copy, scored)


def score_groups(
    plan: Plan,
    images: Dataset,
    bring: Bring,
    attacks: Sequence[Attack] = (),
    *,
    workers: int | None = None,
    tick: Callable[[], None] | None = None,
    observe: Observe | None = None,
    clean: bool = True,
) -> Iterator[list[Scored]]:
    """Yield, image by image, the scores of its copies: the clean one first, then one for each attack.

    Parameters are those of `fill`; `observe` is told of every stage, and of protocol and attacks. Without
    `clean`, that copy is left out.
    """
    files = load_ahead((image.path for image in images), workers=workers, observe=observe)
    every = score_images(plan, copies(files, bring, attacks, observe, clean), workers=workers, observe=observe)
    for group in _groups(every, clean + len(attacks)):
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
    collector = Collector(images, names, cells)
    for number, group in groups:
        put(collector, number, group)
    return collector.table()


def _groups(scored: Iterator[Scored], size: int) -> Iterator[list[Scored]]:
    while group := list(islice(scored, size)):
        yield group
