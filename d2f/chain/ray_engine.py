"""The engine `ray`: sources go in small lots to actors of a Ray cluster, rows come back in order.

An actor holds the chain loaded and decodes what it scores; see `RowMaker`. This process lists the sources, hands them
out and takes the rows, so that its memory does not grow with their number. An actor that dies is replaced, and its lots
are given out again: that costs time only. A source over which two actors have died, of the second of which it was the
only one, has a row with the error.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import ray
from ray.exceptions import RayError, RayTaskError

from d2f.api.errors import D2FError, Exit
from d2f.api.rows import Failure, Row
from d2f.chain.engines import ChainRecipe, Job, RowMaker
from d2f.cores import THREADS, thread_variables
from d2f.engine.findings import single_line
from d2f.engine.prefetch import defer_errors

if TYPE_CHECKING:
    from d2f.images.memory import InMemory

SOURCES_A_LOT = 32
"""Sources that an actor is given together, with one message each way."""

LOTS_AN_ACTOR = 2
"""Lots that an actor has at a time: it decodes one while it scores the other."""

LOTS_WAITING = 8
"""Lots for each actor that may be under way, or done and waiting for an earlier one."""

DEATHS_IN_A_ROW = 5
"""Actors, for each of those wanted, that may die without an answer in between before the run is given up."""


class RowActor:
    """The row function in a process of the cluster, with errors of the user's given back as values."""

    def __init__(self, recipe: ChainRecipe) -> None:
        self._problems: Any = None
        try:
            self._maker = RowMaker(recipe)
        except D2FError as error:
            self._problems = error.problems, int(error.exit)

    def rows(self, sources: list[str | InMemory]) -> Any:
        """Return rows and events, or the problems and the exit code of what ends the run."""
        try:
            return self._problems or self._maker(sources)
        except D2FError as error:
            return error.problems, int(error.exit)


@dataclass(slots=True, eq=False)
class Lot:
    """Sources on their way: which actor has them, its answer, how many died over them, the rows once they are there."""

    sources: list[str | InMemory]
    number: int = -1
    actor: Any = None
    answer: Any = None
    deaths: int = 0
    rows: list[Row] | None = None

    @property
    def share(self) -> int:
        """How many of an actor's lots it counts for: all, once its one source may be what ended an actor."""
        return LOTS_AN_ACTOR if self.deaths and len(self.sources) == 1 else 1


def rows(job: Job) -> Iterator[Row]:
    """Start or join a cluster and score a job's sources there."""
    ours = not ray.is_initialized()
    if ours:
        # By RAY_ADDRESS, or on a node of a cluster, that cluster; else one of this machine.
        try:
            ray.init(log_to_driver=False, include_dashboard=False, logging_level=logging.ERROR)
        except Exception as error:  # of many kinds, plain Exception among them
            why = f"the Ray cluster cannot be started or reached: {single_line(error)[:300]}"
            hint = "is RAY_ADDRESS right, and the machine not overloaded? see `ray status`"
            raise D2FError.of("D2F411", why, hint, exit=Exit.SOME_FAILED) from error
    try:
        yield from _RayRun(job).rows()
    finally:
        if ours:
            ray.shutdown()


class _RayRun:
    """One pass over a job's sources."""

    def __init__(self, job: Job) -> None:
        self._job = job
        resources: Any = ray.cluster_resources()  # type: ignore[no-untyped-call,unused-ignore]
        self._count = job.workers or max(1, int(resources.get("CPU", 1)))
        self._actors = [self._actor() for _ in range(self._count)]
        self._busy = [0] * self._count
        self._deaths = 0
        self._lots: deque[Lot] = deque()  # in order: given out or to be given out, or done and waiting for one before
        self._due: deque[Lot] = deque()  # of these, the ones to be given out

    def _actor(self) -> Any:
        environment = {"env_vars": {**thread_variables(1), THREADS: "1"}}
        settings = {"num_cpus": 1, "max_restarts": 0, "max_concurrency": LOTS_AN_ACTOR, "runtime_env": environment}
        return ray.remote(RowActor).options(**settings).remote(self._job.recipe)

    def rows(self) -> Iterator[Row]:
        """Yield the rows, in order."""
        errors: list[Exception] = []
        sources = defer_errors(self._job.sources, errors)
        first = Lot([])  # loads the chain: what is wrong with it is said before the first source is taken
        self._lots.append(first)
        self._due.append(first)
        try:
            while self._give_out(sources):
                self._take_answers()
                while self._lots and (found := self._lots[0].rows) is not None:
                    self._lots.popleft()
                    yield from found
            if errors:
                raise errors[0]
        finally:
            for actor in self._actors:
                ray.kill(actor)

    def _give_out(self, sources: Iterator[str | InMemory]) -> bool:
        """Give lots to actors that are free; False once everything is done."""
        while min(self._busy) < LOTS_AN_ACTOR:
            room = LOTS_WAITING * self._count - len(self._lots)
            if not self._due and room > 0 and (taken := list(islice(sources, SOURCES_A_LOT))):
                self._lots.append(Lot(taken))
                self._due.append(self._lots[-1])
            if not self._due:
                break
            lot, number = self._due[0], min(range(self._count), key=self._busy.__getitem__)
            if self._busy[number] + lot.share > LOTS_AN_ACTOR:
                break
            self._due.popleft()
            lot.number = number
            self._busy[number] += lot.share
            lot.actor = self._actors[number]
            lot.answer = lot.actor.rows.remote(lot.sources)
            if not lot.sources:
                break
        return bool(self._lots)

    def _take_answers(self) -> None:
        """Wait for an answer, and take all that are there."""
        waiting = {lot.answer: lot for lot in self._lots if lot.answer is not None}
        first, _ = ray.wait(list(waiting), num_returns=1)
        ready, _ = ray.wait(list(waiting), num_returns=len(waiting), timeout=0)
        for answer in dict.fromkeys([*first, *ready]):
            self._take(waiting[answer])

    def _take(self, lot: Lot) -> None:
        answer, lot.answer = lot.answer, None
        self._busy[lot.number] -= lot.share
        try:
            found, rest = ray.get(answer)
        except RayTaskError:
            raise
        except RayError as error:
            self._again(lot, single_line(error)[:300])
            return
        if isinstance(rest, int):
            raise D2FError(found, Exit(rest))
        self._deaths, lot.rows = 0, found
        for event in rest:
            self._job.observe(event)

    def _again(self, lot: Lot, why: str) -> None:
        """Give a lot out again whose actor died; after a second death each source by itself."""
        if self._actors[lot.number] is lot.actor:
            ray.kill(lot.actor)
            self._actors[lot.number] = self._actor()
            self._deaths += 1
        if self._deaths > DEATHS_IN_A_ROW * self._count:
            hint = "see what `ray status` and `ray logs` say"
            raise D2FError.of("D2F411", f"the actors die one after the other: {why}", hint, exit=Exit.SOME_FAILED)
        lot.deaths += 1
        if lot.deaths < 2 or not lot.sources:
            self._due.appendleft(lot)
        elif len(lot.sources) == 1:
            failure = Failure("D2F411", f"two actors died over it, the last: {why}")
            lot.rows = [self._job.failed(lot.sources[0], failure)]
        else:
            at = self._lots.index(lot)
            alone = [Lot([source]) for source in lot.sources]
            self._lots = deque([*list(self._lots)[:at], *alone, *list(self._lots)[at + 1 :]])
            self._due.extendleft(reversed(alone))
