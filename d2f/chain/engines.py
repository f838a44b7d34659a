"""Engines by name: what runs a chain elsewhere than on this machine, as adapters over one row function.

An engine is a function that takes a `Job` and yields its rows, in the order of its sources. A distribution offers one
by an entry point of the group ``d2f.engines``. Whatever carries out the work makes a `RowMaker` of the job's
`ChainRecipe` where images are to be scored, and calls it with sources: files are read, decoded and scored there, by the
same supervised worker process as on one machine, so that rows are the same. `d2f.chain.ray_engine` is an example.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from importlib.metadata import entry_points
from typing import TYPE_CHECKING, TypeAlias

from d2f.api.errors import D2FError, Exit, did_you_mean
from d2f.api.outcomes import StageFinished
from d2f.api.rows import Failure, Row

if TYPE_CHECKING:
    from d2f.chain.result import WorkerArguments
    from d2f.engine.findings import Observe
    from d2f.images.memory import InMemory
    from d2f.images.read import Bounds

GROUP = "d2f.engines"
LOCAL = "local"
"""The name of the engine of this machine, which is no adapter."""


@dataclass(frozen=True, slots=True)
class ChainRecipe:
    """All that makes rows elsewhere; can be pickled.

    Parameters
    ----------
    chain : tuple
        What the chain is loaded by: name and content of its file, whether stages that cannot be loaded are left out,
        its digest, which is checked wherever it is loaded (another one is refused, D2F209), and the prior.
    folder : str
        The folder that relative paths start from.
    time_limit, memory_limit : float, int, optional
        Of a stage for an image in seconds, of a worker process in bytes.
    bounds : Bounds, optional
        On the bytes and pixels of a file.
    """

    chain: WorkerArguments
    folder: str
    time_limit: float | None = None
    memory_limit: int | None = None
    bounds: Bounds | None = None


@dataclass(frozen=True, slots=True)
class Job:
    """What an engine is given.

    Parameters
    ----------
    recipe : ChainRecipe
    sources : iterable of str or InMemory
        What is to be scored: paths, taken lazily in the caller's thread, and images in memory.
    workers : int, optional
        How many processes are to score.
    observe : callable
        To be called with what `RowMaker` returns beside rows.
    failed : callable
        Makes the row of a source that has no other, for a reason such as a machine that died twice over it.
    """

    recipe: ChainRecipe
    sources: Iterable[str | InMemory]
    workers: int | None
    observe: Observe
    failed: Callable[[str | InMemory, Failure], Row]


Engine: TypeAlias = Callable[[Job], Iterator[Row]]


class RowMaker:
    """The row function: sources to rows. Made once in each process that decodes; may be called from several threads."""

    def __init__(self, recipe: ChainRecipe) -> None:
        from d2f.chain.result import Asked, chain_of_worker, process_engine
        from d2f.cores import usable_memory
        from d2f.engine.processes import MEMORY_SHARE, ProcessEngine

        if os.path.isdir(recipe.folder):
            os.chdir(recipe.folder)
        self._bounds = recipe.bounds
        self._events = threading.local()
        chain = chain_of_worker(recipe.chain)
        if recipe.memory_limit is None:
            share = int(MEMORY_SHARE * usable_memory()) // (os.cpu_count() or 1)
            recipe = replace(recipe, memory_limit=share)
        limits = recipe.time_limit, recipe.memory_limit
        asked = Asked(chain, LOCAL, 1, *limits, recipe.bounds, self._take_event)
        self._engine: ProcessEngine = process_engine(asked)
        self._engine.load()

    def __call__(self, sources: Sequence[str | InMemory]) -> tuple[list[Row], list[StageFinished]]:
        """Return a row for each source, in order, and what stages took meanwhile."""
        from d2f.engine.prefetch import prefetch

        self._events.list = []
        return list(self._engine.stream(prefetch(sources, self._bounds, 1, self._take_event))), self._events.list

    def _take_event(self, event: StageFinished) -> None:
        if (events := getattr(self._events, "list", None)) is not None:
            events.append(event)


def engine_names() -> tuple[str, ...]:
    """Return the names of the engines that are installed, the local one first."""
    return (LOCAL, *sorted({point.name for point in entry_points(group=GROUP)}))


def find_engine(name: str) -> Engine:
    """Return an engine by name; D2F001 where there is none, exit code 3 where it cannot be imported."""
    point = next(iter(entry_points(group=GROUP, name=name)), None)
    if point is None:
        names = engine_names()
        raise D2FError.of(
            "D2F001", f"unknown engine '{name}'", *did_you_mean(name, names), f"there are: {', '.join(names)}"
        )
    try:
        engine: Engine = point.load()
    except (Exception, SystemExit) as error:
        owner = f"{point.dist.name} {point.dist.version}" if point.dist else point.value
        why = f"engine '{name}' cannot be loaded: {type(error).__name__}: {error}"
        hint = f"pip install 'd2f[{name}]'" if isinstance(error, ImportError) else "see the message above"
        raise D2FError.of("D2F201", f"{why} ({owner})", hint, exit=Exit.PLUGIN) from error
    return engine
