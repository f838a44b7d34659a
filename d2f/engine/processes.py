"""The engine of several processes: each has the whole chain, images go to whichever is free, rows leave in order.

The parent reads and decodes files, and gives pixels to supervised worker processes through shared memory. In a worker
every stage is called within a time limit and under its name. A stage that ends its process (or hangs, or takes too much
memory) costs its own scores: the process is replaced, the image is tried again without that stage, and a stage that
has ended three processes is left out of the rest of the run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, TypeAlias

from d2f.api.inputs import ImageFile, Tiles
from d2f.api.outcomes import StageFinished
from d2f.api.rows import Failure, Row
from d2f.cores import thread_variables, usable_cores, usable_memory
from d2f.engine.findings import Observe, StageLost, Watch, single_line
from d2f.engine.judge import Judge, judged_rows, row
from d2f.engine.local import LocalEngine
from d2f.engine.plan import Decision, Plan, Scored, Step
from d2f.engine.prefetch import defer_errors
from d2f.engine.worker import DEATHS, Deaths, Worker, WorkerFailure, WorkerPool
from d2f.engine.worker_child import Handler, running
from d2f.engine.worker_process import private_memory
from d2f.images.memory import InMemory
from d2f.images.read import Unread

TIME_LIMIT = 120.0
"""Seconds that a stage may take for one image, where neither the user nor the stage says otherwise."""

IMAGES_A_REQUEST = 16
"""Images, at most, that a worker is given together, so that batches of tiles are full."""

BYTES_A_REQUEST = 48 * 2**20
"""Bytes of files and pixels that a worker is given together; a larger image is given alone."""

BYTES_BESIDE = 256 * 2**20
"""Memory that a worker takes for its work, besides what it has loaded, as far as is known beforehand."""

MEMORY_SHARE = 0.8
"""Share of the free memory that all workers together may use."""

SUPERVISED_CALLS = ("load", "score", "apply", "check", "read", "probability", "combine")
"""Methods of a stage that run a plugin's code for an image, or for a batch of them."""

Image: TypeAlias = ImageFile | Unread
Answer: TypeAlias = tuple[list[Row], list[StageFinished]]


@dataclass(frozen=True, slots=True)
class Request:
    """Images to be scored, and the stages that are not to run: what their members are given as error, by their name."""

    images: Sequence[Image | InMemory]
    lost: Mapping[str, Failure]


class Supervision:
    """Makes stages whose calls have a name and a time limit, and are refused while the stage is lost."""

    def __init__(self, time_limit: float | None) -> None:
        self.time_limit = time_limit
        self.request = Request([], {})

    def plan(self, plan: Plan) -> Plan:
        """Return a plan of such stages, under the names that messages call them by."""
        labels = {id(stage): label for label, stage in plan.stages}

        def made(stage: Any) -> Any:
            return SupervisedStage(stage, labels[id(stage)], self)

        def those(steps: Iterable[Step]) -> tuple[Step, ...]:
            return tuple(Step(one.key, made(one.stage)) for one in steps)

        return replace(
            plan,
            views={view: those(steps) for view, steps in plan.views.items()},
            detectors=tuple(replace(one, stage=made(one.stage)) for one in plan.detectors),
            require=tuple(replace(one, stage=made(one.stage)) for one in plan.require),
            evidence=tuple(replace(one, stage=made(one.stage)) for one in plan.evidence),
            decision=plan.decision and replace(self._decision(plan.decision), stability=those(plan.decision.stability)),
        )

    def _decision(self, decision: Decision) -> Decision:
        def made(stage: Any, label: str) -> Any:
            return SupervisedStage(stage, label, self)

        above = decision.chain_calibrator
        return replace(
            decision,
            calibrators={
                member: made(one, f"the calibrator of {member!r}") for member, one in decision.calibrators.items()
            },
            combiner=made(decision.combiner, "the combiner"),
            chain_calibrator=None if above is None else made(above, "the chain's own calibrator"),
        )


class SupervisedStage:
    """A stage as `Supervision` makes it; attributes that are no calls are the stage's own."""

    def __init__(self, stage: Any, label: str, supervision: Supervision) -> None:
        self._stage, self._label, self._supervision = stage, label, supervision
        self._time_limit = supervision.time_limit or getattr(stage, "time_limit", None) or TIME_LIMIT

    def __getattr__(self, name: str) -> Any:
        value = getattr(self._stage, name)
        return partial(self._call, name, value) if name in SUPERVISED_CALLS else value

    def _call(self, name: str, method: Callable[..., Any], *arguments: Any) -> Any:
        request = self._supervision.request
        if self._label in request.lost:
            raise StageLost(request.lost[self._label])
        images = min(len(arguments[0]), len(request.images)) if name == "score" else 1
        with running(self._label, self._time_limit * max(1, images)):
            return method(*arguments)


def row_maker(plan: Plan, time_limit: float | None) -> Handler:
    """Return what answers requests in a worker process: a chain, loaded, that makes rows."""
    from d2f.mlx_cpu.hook import claim_process

    claim_process()
    supervision, events = Supervision(time_limit), list[StageFinished]()
    plan = supervision.plan(plan)
    engine = LocalEngine(plan, workers=0, observe=events.append)
    engine.load()
    judge = Judge(plan, events.append)

    def answer(request: Request) -> Answer:
        supervision.request = request
        events.clear()
        rows = list(judged_rows(engine, judge, request.images))  # type: ignore[arg-type]
        supervision.request = Request([], {})  # the pixels of this one belong to the parent
        return rows, list(events)

    return answer


class ProcessEngine:
    """A chain in several processes, ready to make rows once.

    `target` and `arguments`: what a worker calls to load the chain; see `Worker`. `workers`: how many; by default one a
    core, if memory allows. `owner`: the distribution and version of a stage by its kind and name. `forget_after`:
    seconds after which a process that a stage has ended does not count any more.
    """

    def __init__(
        self,
        target: str,
        arguments: Any,
        plan: Plan,
        workers: int | None = None,
        observe: Observe | None = None,
        memory_limit: int | None = None,
        owner: Callable[[str, str], str] = lambda kind, name: "",
        forget_after: float = math.inf,
    ) -> None:
        self.workers = workers or usable_cores()
        self._plan, self._watch = plan, Watch(observe)
        self._owners = {label: owner(label.partition(" ")[0], stage.name) for label, stage in plan.stages}
        self._deaths, self._last = Deaths(forget_after=forget_after), dict[str, Failure]()
        self._fixed = workers is not None
        self._pool = WorkerPool(
            self.workers,
            target,
            arguments,
            memory_limit=memory_limit or int(MEMORY_SHARE * usable_memory()) // self.workers,
            environment=thread_variables(max(1, usable_cores() // self.workers)),
            forget_after=forget_after,
        )

    def load(self) -> None:
        """Start the first process, which loads every stage; the others start with their first image."""
        first, *others = self._pool.workers
        try:
            first.start()
        except BaseException:
            self.close()
            raise
        if not self._fixed:
            more = int(MEMORY_SHARE * usable_memory()) // (private_memory(first.pid or 0) + BYTES_BESIDE)
            self._pool.workers = [first, *others[: max(0, more)]]
            self.workers = len(self._pool.workers)

    def rows(self, images: Iterable[Image]) -> Iterator[Row]:
        """Make rows, in order. Closing the iterator early ends the processes."""
        try:
            yield from self.stream(images)
        finally:
            self.close()

    def stream(self, images: Iterable[Image]) -> Iterator[Row]:
        """Make rows, in order, and keep the processes for more; may be called from several threads."""
        for answer in self._pool.map(self._gathered(images), self.answer):
            if isinstance(answer, WorkerFailure):  # somebody has closed the engine
                raise answer
            rows, events = answer
            for event in events:
                self._watch.notify(event)
            yield from rows

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    @property
    def pool(self) -> tuple[Worker, ...]:
        """The workers, each with its process or without one yet."""
        return tuple(self._pool.workers)

    @property
    def images_a_request(self) -> int:
        """Images, at most, that a worker is given together, so that batches of tiles are full."""
        # Two batches of tiles, so that little of the last one is padding.
        tiles = [(one.stage.wants, len(one.views)) for one in self._plan.detectors]
        counts = [-(-2 * one.batch // (one.count * views)) for one, views in tiles if isinstance(one, Tiles)]
        return max((min(IMAGES_A_REQUEST, count) for count in counts), default=1)

    def _gathered(self, images: Iterable[Image]) -> Iterator[list[Image]]:
        """Yield the images one by one, or as many together as fill a batch of tiles."""
        most = self.images_a_request
        errors: list[Exception] = []
        group: list[Image] = []
        size = 0
        for image in defer_errors(images, errors):
            size += _held_bytes(image)
            if group and (len(group) >= most or size > BYTES_A_REQUEST):
                yield group
                group, size = [], _held_bytes(image)
            group.append(image)
        if group:
            yield group
        if errors:
            raise errors[0]

    def answer(self, worker: Worker, images: Sequence[Image | InMemory]) -> Answer:
        """Ask a worker for rows; where it fails at several images, ask again for each of them.

        May be called from several threads, each with its own worker.
        """
        if len(images) == 1:
            return self._answer_alone(worker, images[0])
        try:
            return self._ask(worker, images, {})
        except WorkerFailure as failure:
            if failure.reason == "closed":
                raise
            replaced, first = worker.replaced, failure
        answers = [self._answer_alone(worker, image) for image in images]
        if first.stage and first.reason != "killed" and worker.replaced == replaced:
            self._blame(first)
        return [row for rows, _ in answers for row in rows], [event for _, events in answers for event in events]

    def _answer_alone(self, worker: Worker, image: Image | InMemory) -> Answer:
        """Ask a worker for the row of one image, without the stages that end it.

        Where the process was killed, or died between two stages, the image is tried again as it was, once.
        """
        lost: dict[str, Failure] = {}
        again = False
        while True:
            try:
                return self._ask(worker, [image], lost)
            except WorkerFailure as failure:
                if failure.reason == "closed":
                    raise
                if not again and (failure.reason == "killed" or (failure.reason == "died" and not failure.stage)):
                    again = True
                    continue
                if not failure.stage or failure.stage in lost:
                    why = Failure(failure.code, failure.message)
                    known = Scored.of(Unread(image.path, why) if isinstance(image, InMemory) else image)
                    return [row(self._plan, replace(known, failure=why))], []
                lost[failure.stage] = self._blame(failure)

    def _ask(self, worker: Worker, images: Sequence[Image | InMemory], lost: Mapping[str, Failure]) -> Answer:
        ended = f"is switched off: it ended {DEATHS} processes, last"
        last = {stage: self._last[stage] for stage in self._deaths.switched_off}
        off = {stage: Failure("D2F413", f"{stage} {ended} {one.code}: {one.message}") for stage, one in last.items()}
        answer: Answer = worker.ask(Request(images, {**off, **lost}), blame=False)
        return answer

    def _blame(self, failure: WorkerFailure) -> Failure:
        """Count a process that a stage has ended; return the error of the stage's members."""
        self._deaths.add(failure.stage)
        owner = self._owners.get(failure.stage)
        words = [failure.message, f"plugin {owner}" if owner else "", failure.last_line]
        self._last[failure.stage] = Failure(failure.code, single_line("; ".join(filter(None, words))))
        return self._last[failure.stage]


def _held_bytes(image: Image) -> int:
    return len(image.data) + (image.pixels.nbytes if isinstance(image, ImageFile) else 0)
