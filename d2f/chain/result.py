"""Rows of a chain: how they are made, in this process, in worker processes or by an engine elsewhere, and `Result`."""

from __future__ import annotations

import os
import sys
import warnings
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, fields
from functools import partial
from html import escape
from itertools import chain as chained
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from d2f.api.errors import D2FError, Exit
from d2f.api.rows import Failure, Row
from d2f.chain.words import legend, reasons, sentence, stage_titles
from d2f.cores import usable_cores

if TYPE_CHECKING:
    from d2f.chain.chain import Chain
    from d2f.engine.duplicates import Duplicates
    from d2f.engine.findings import Observe
    from d2f.engine.processes import ProcessEngine
    from d2f.engine.worker_child import Handler
    from d2f.images.memory import InMemory
    from d2f.images.read import Bounds
    from d2f.images.walk import Listing

    WorkerArguments = tuple[str, str, bool, str, float | None]
    """Origin, text, whether stages may be missing, digest, prior."""

ENOUGH_FILES = 100
"""Files from which on the start of several processes is worth its while."""

Source = TypeVar("Source")


class Result(Row):
    """A `Row` that knows its chain and its image.

    It compares equal to a row of the same values, and is written, pickled and replaced as one.
    """

    __slots__ = ("_chain", "_image")
    _chain: Chain
    _image: str | InMemory
    # Put here by `d2f`: a report is made of rows, and its package stands above that of chains.
    _explained_by: ClassVar[Callable[..., Any]]

    @classmethod
    def of(cls, row: Row, chain: Chain, image: str | InMemory) -> Result:
        """Return a row as a result of `chain` for `image`."""
        result = cls(*(getattr(row, name) for name in _FIELDS))
        object.__setattr__(result, "_chain", chain)
        object.__setattr__(result, "_image", image)
        return result

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Row):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in _FIELDS)

    __hash__ = Row.__hash__

    def __repr__(self) -> str:
        return f"<Result {self.path}: {sentence(self)} (chain {self.chain})>"

    def __str__(self) -> str:
        return "\n".join([f"{self.path}: {sentence(self)}", *(f"  {line}" for line in self.lines())])

    def lines(self) -> list[str]:
        """Return why, in words, a line each: strength, each detector's share, what the file states, caveats."""
        chain: Chain | None = getattr(self, "_chain", None)
        return list(reasons(self, {} if chain is None else stage_titles(chain)))

    def explain(self, **options: Any) -> Any:
        """Judge the image again and measure where in the picture the verdict comes from.

        Parameters
        ----------
        **options
            Of `d2f.explain.explain_image`: ``maps="both"``, ``full=True``.

        Returns
        -------
        d2f.explain.Explanation
            A notebook shows it as a page; ``save("report.html")`` writes it, and its record beside it.
        """
        chain: Chain | None = getattr(self, "_chain", None)
        if chain is None:
            raise ValueError("this result does not know its image any more: d2f.explain.explain_image(chain, image)")
        return Result._explained_by(chain, self._image, **options)

    def _repr_html_(self) -> str:
        """Return what a notebook shows: the verdict, why, and in small print what holds for the whole chain."""
        chain: Chain | None = getattr(self, "_chain", None)
        why = "".join(f"<li>{escape(line)}</li>" for line in self.lines())
        small = "" if chain is None else "<br>".join(map(escape, legend(chain)))
        return (
            f"<div><p><b>{escape(sentence(self))}</b><br>{escape(self.path)}</p><ul>{why}</ul>"
            f"<p><small>{small}</small></p></div>"
        )


_FIELDS = tuple(field.name for field in fields(Row))


@dataclass(frozen=True, slots=True)
class Asked:
    """How rows are asked for; see `Chain.run`."""

    chain: Chain
    engine: str
    workers: int | None
    time_limit: float | None
    memory_limit: int | None
    bounds: Bounds | None
    observe: Observe
    duplicates: Duplicates | None = None

    @property
    def limited(self) -> bool:
        """Whether a stage has a limit, which only a worker process can keep."""
        return self.time_limit is not None or self.memory_limit is not None


def results(asked: Asked, images: Any, only: Callable[[str], bool] | None, listing: Listing | None) -> Iterator[Result]:
    """Find the images and yield their rows, in order; None: those that the chain file names."""
    from d2f.chain.engines import LOCAL
    from d2f.images.files import STANDARD_INPUT
    from d2f.images.walk import Listing

    met = listing if listing is not None else Listing()
    named: list[str | InMemory] = [*asked.chain.images] if images is None else _named_sources(images)
    found = _found_sources(named, met) if images is None or named else iter(())
    several = asked.limited or (asked.workers or 1) > 1
    if asked.engine == LOCAL and asked.workers is None and not asked.limited and STANDARD_INPUT not in named:
        several, found = worth_it(found)
    if only is not None:
        found = (one for one in found if only(one if isinstance(one, str) else one.path))
    taken: deque[str | InMemory] = deque()

    def remembered() -> Iterator[str | InMemory]:
        for source in found:
            taken.append(source)
            yield source

    sources = remembered()
    catalog = asked.chain.catalog
    if asked.engine != LOCAL:
        rows = _of_engine(asked, sources)
    elif several and catalog is type(catalog).discovered():
        rows = _of_processes(asked, sources)
    else:
        rows = _of_this_process(asked, sources)
    return _with_sources(asked.chain, rows, taken, None if listing is not None else met)


def worth_it(files: Iterator[Source]) -> tuple[bool, Iterator[Source]]:
    """Whether several processes finish files sooner than this one; and the files, which are still all there."""
    if sys.platform != "linux" or usable_cores() == 1:
        return False, files
    from d2f.engine.prefetch import defer_errors

    errors: list[Exception] = []
    first = list(islice(defer_errors(files, errors), ENOUGH_FILES))

    def rest() -> Iterator[Source]:
        if errors:
            raise errors[0]
        yield from files

    return len(first) == ENOUGH_FILES, chained(first, rest())


def _with_sources(
    chain: Chain, rows: Iterator[Row], taken: deque[str | InMemory], met: Listing | None
) -> Iterator[Result]:
    """Yield the rows as results; then warn of what the search left out, hidden files excepted."""
    for row in rows:
        yield Result.of(row, chain, taken.popleft())
    if met is not None:
        del met.passed_over["hidden"]
        for line in met.lines():
            warnings.warn(line, stacklevel=2)


def _of_this_process(asked: Asked, sources: Iterator[str | InMemory]) -> Iterator[Row]:
    from d2f.engine.judge import Judge, judged_rows
    from d2f.engine.local import LocalEngine
    from d2f.engine.prefetch import prefetch

    plan = asked.chain.plan
    engine = LocalEngine(plan, asked.workers, asked.observe)
    engine.load()
    judge = Judge(plan, asked.observe)
    images = prefetch(sources, asked.bounds, engine.workers, asked.observe)
    if asked.duplicates is None:
        return judged_rows(engine, judge, images)
    return asked.duplicates.with_copies(judged_rows(engine, judge, asked.duplicates.first_ones(images)))


def _of_processes(asked: Asked, sources: Iterator[str | InMemory]) -> Iterator[Row]:
    from d2f.engine.prefetch import prefetch

    engine = process_engine(asked)
    engine.load()
    images = prefetch(sources, asked.bounds, max(1, engine.workers // 2), asked.observe)
    if asked.duplicates is None:
        return engine.rows(images)
    return asked.duplicates.with_copies(engine.rows(asked.duplicates.first_ones(images)))


def _of_engine(asked: Asked, sources: Iterator[str | InMemory]) -> Iterator[Row]:
    from d2f.chain.engines import ChainRecipe, Job, find_engine

    chain = asked.chain
    if asked.duplicates is not None:
        message = f"engine '{asked.engine}' does not know duplicates"
        raise D2FError.of("D2F001", message, "only the local engine does")
    if chain.catalog is not type(chain.catalog).discovered():
        hint = "install the stages' plugin, or run the chain in this process"
        raise D2FError.of("D2F001", f"engine '{asked.engine}' cannot run stages that were given in code", hint)

    recipe = ChainRecipe(worker_arguments(chain), os.getcwd(), asked.time_limit, asked.memory_limit, asked.bounds)
    return find_engine(asked.engine)(Job(recipe, sources, asked.workers, asked.observe, partial(failed_row, chain)))


def failed_row(chain: Chain, source: str | InMemory, failure: Failure) -> Row:
    """Return the row of a source that nothing has answered for."""
    from d2f.engine.judge import row
    from d2f.engine.plan import Scored

    path = source if isinstance(source, str) else source.path
    return row(chain.plan, Scored(path, None, None, None, None, failure=failure))


def process_engine(asked: Asked) -> ProcessEngine:
    """Return an engine of worker processes, each of which loads the chain."""
    from d2f.engine.processes import ProcessEngine

    chain, maker = asked.chain, f"{__name__}:row_maker_of"
    arguments, owner = (worker_arguments(chain), asked.time_limit), partial(package_of, chain)
    return ProcessEngine(maker, arguments, chain.plan, asked.workers, asked.observe, asked.memory_limit, owner)


def package_of(chain: Chain, kind: str, name: str) -> str:
    """Return the distribution and version that a stage comes from; empty where it was given in code."""
    origin = chain.catalog.owner(kind, name)
    return origin.package if origin is not None else ""


def worker_arguments(chain: Chain) -> WorkerArguments:
    """Return what `chain_of_worker` loads this chain by."""
    prior = None if chain.plan.decision is None else chain.prior
    return chain.origin, chain.text, chain.plan.allow_missing, chain.digest, prior


def chain_of_worker(arguments: WorkerArguments) -> Chain:
    """Load a chain elsewhere, or later, by its `worker_arguments`; D2F209 where it has another digest there."""
    from d2f.chain.chain import chain_of
    from d2f.chain.yaml import Text
    from d2f.plugins.catalog import Catalog

    origin, text, allow_missing, digest, prior = arguments
    chain = chain_of(Text(origin, text), Catalog.discover(), allow_missing=allow_missing)
    if chain.digest != digest:
        message = f"chain {chain.name!r} has another digest in a worker process: a plugin, or weights, have changed"
        hint = "start the run again; on a cluster: install the same d2f and plugins everywhere"
        raise D2FError.of("D2F209", message, hint, exit=Exit.PLUGIN)
    return chain.with_prior(prior)


def row_maker_of(arguments: tuple[WorkerArguments, float | None]) -> Handler:
    """Load a chain in a worker process of `Chain.run`."""
    from d2f.engine.processes import row_maker

    of_chain, time_limit = arguments
    return row_maker(chain_of_worker(of_chain).plan, time_limit)


def _named_sources(images: Any) -> list[str | InMemory]:
    """Return the sources of one image or of a sequence of images."""
    from d2f.images.memory import image_source

    one = isinstance(images, str | bytes | bytearray | memoryview) or hasattr(images, "read")
    if not one:  # a text file object and an array can be iterated over, too; in this order: see `image_source`
        is_array = hasattr(images, "ndim") and hasattr(images, "__array_interface__")
        one = images.ndim != 4 if is_array else not hasattr(images, "__iter__")
    return [image_source(images)] if one else [image_source(each, number) for number, each in enumerate(images)]


def _found_sources(named: list[str | InMemory], met: Listing) -> Iterator[str | InMemory]:
    """Yield images in order, those of paths found; problems of paths are raised at the call."""
    from d2f.images.files import find_images

    paths = [one for one in named if isinstance(one, str)]
    if len(paths) == len(named):
        return find_images(paths, met)
    met.shared = True
    found: list[Iterator[str | InMemory]] = [
        find_images([one], met) if isinstance(one, str) else iter((one,)) for one in named
    ]
    return chained.from_iterable(found)
