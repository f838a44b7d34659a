"""A set's files looked at one by one: facts, and where asked for the perceptual hash."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from d2f.api.errors import Problem
from d2f.data.dataset import Dataset, Labelled
from d2f.data.facts.file_facts import FileFacts, facts_of, read_facts
from d2f.reading.unread import ImageError


@dataclass(frozen=True, slots=True)
class Looked:
    """What was seen of one file.

    Parameters
    ----------
    facts : FileFacts
    hash : int or None
        As `d2f.data.facts.perceptual_hash` has it; None where it was not asked for or means nothing.
    """

    facts: FileFacts
    hash: int | None = None


@dataclass(frozen=True)
class Inspection:
    """A set and what was seen of its files.

    Parameters
    ----------
    images : Dataset
        Those that could be read, in the set's order.
    looked : tuple of Looked
        Of each of them.
    problems : tuple of Problem
        One for each file that could not be read.
    """

    images: Dataset
    looked: tuple[Looked, ...]
    problems: tuple[Problem, ...]

    @property
    def facts(self) -> tuple[FileFacts, ...]:
        """The facts of each image."""
        return tuple(each.facts for each in self.looked)


def inspect(
    dataset: Dataset, decode: bool = False, workers: int = 1, tick: Callable[[], None] | None = None
) -> Inspection:
    """Look at every file of a set.

    Parameters
    ----------
    dataset : Dataset
    decode : bool
        Whether pictures are decoded and hashed; without it only headers are read, and damage behind them stays unseen.
    workers : int
        Threads; the result does not depend on it.
    tick : callable, optional
        Called after each file.
    """
    seen = list(_each(dataset, _look if decode else _glance, workers, tick))
    kept = [i for i, each in enumerate(seen) if isinstance(each, Looked)]
    problems = tuple(problem for each in seen if isinstance(each, ImageError) for problem in each.problems)
    return Inspection(dataset.select(kept), tuple(each for each in seen if isinstance(each, Looked)), problems)


def _each(
    dataset: Dataset,
    look: Callable[[str], Looked],
    workers: int,
    tick: Callable[[], None] | None,
) -> Iterator[Looked | ImageError]:
    def seen(image: Labelled) -> Looked | ImageError:
        try:
            return look(image.path)
        except ImageError as error:
            return error

    with ThreadPoolExecutor(workers) as pool:
        for each in pool.map(seen, dataset):
            yield each
            if tick is not None:
                tick()


def _glance(path: str) -> Looked:
    return Looked(read_facts(path))


def _look(path: str) -> Looked:
    from d2f.data.facts.perceptual_hash import perceptual_hash
    from d2f.reading.image import read_image

    image = read_image(path)
    return Looked(facts_of(image.data, path), perceptual_hash(image.pixels))
