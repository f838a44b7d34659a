"""The queue before the worker processes: pictures wait, go together where a batch holds several, come back as rows.

Every worker process has the whole chain, decodes what strangers sent, and is replaced when it hangs or dies. Rows are
those of `d2f chain run`, however pictures meet: `d2f.engine.processes` sees to that.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from d2f.api.inputs import Bounds, ImageFile
from d2f.api.rows import Failure, Row
from d2f.chain.chain import Chain
from d2f.chain.result import chain_of_worker, failed_row, package_of, worker_arguments
from d2f.engine.processes import ProcessEngine, Request, row_maker
from d2f.engine.worker import Worker, WorkerFailure
from d2f.engine.worker_child import Handler, running
from d2f.explain.explain import MapChoice
from d2f.images.memory import InMemory, load
from d2f.images.read import Unread
from d2f.serve.explaining import Explain, Told, explanation_told, unexplained
from d2f.serve.guard import Refused, about_to_end
from d2f.serve.settings import Limits
from d2f.serve.uploads import Upload

DECODER = "the decoder"
"""What a worker process is said to do while it decodes a file."""

SWITCHED_OFF = "D2F413"
FORGOTTEN = 600.0
"""Seconds after which a stage that ended worker processes is tried again: one file must not switch it off for good."""


def row_maker_of_uploads(arguments: tuple[Any, Bounds, float, float]) -> Handler:
    """Load a chain in a worker process that decodes what it is given, and explains where it is asked to."""
    of_chain, bounds, seconds, explain_seconds = arguments
    chain = chain_of_worker(of_chain)
    make_rows = row_maker(chain.plan, seconds)

    def answer(request: Request | Explain) -> Any:
        if isinstance(request, Explain):
            with running("the explanation", explain_seconds):
                return explanation_told(chain, request, bounds)
        images = [_decoded(one, request.lost, bounds, seconds) for one in request.images]  # type: ignore[arg-type]
        return make_rows(Request(images, request.lost))

    return answer


def _decoded(upload: InMemory, lost: Mapping[str, Failure], bounds: Bounds, seconds: float) -> ImageFile | Unread:
    """Decode one file, unless that has ended this process just now; files before it do not matter."""
    failure = lost.get(DECODER)
    if failure is not None and failure.code != SWITCHED_OFF:
        return Unread(upload.path, failure)
    with running(DECODER, seconds):
        return load(upload, bounds)


@dataclass(slots=True, eq=False)
class Waiting:
    """A picture in the queue, and where its row goes; where `maps` are chosen, why it has its verdict."""

    image: InMemory
    maps: MapChoice | None = None
    answer: Future[Any] = field(default_factory=Future)
    since: float = field(default_factory=time.monotonic)


LONGEST_REST = 5.0
"""Seconds after which an idle worker process is looked at: one that has died is started again."""

Observe = Callable[[str, float], None]
"""Called with the name of a figure and its value: ``batch`` (pictures), ``wait`` (seconds in the queue)."""


class Batcher:
    """A chain, loaded in worker processes, that makes rows for whoever asks, from any thread.

    `observe`: is told what happens; see `Observe`.
    """

    def __init__(
        self, chain: Chain, limits: Limits, workers: int | None = None, observe: Observe = lambda name, value: None
    ) -> None:
        self.chain, self._limits, self._observe = chain, limits, observe
        arguments = (worker_arguments(chain), limits.bounds, limits.stage_seconds, limits.explain_seconds)
        self._engine = ProcessEngine(
            "d2f.serve.batching:row_maker_of_uploads",
            arguments,
            chain.plan,
            workers,
            memory_limit=None,
            owner=partial(package_of, chain),
            forget_after=FORGOTTEN,
        )
        self._most = self._engine.images_a_request
        self._first: deque[Waiting] = deque()
        self._explanations: deque[Waiting] = deque()
        self._later: deque[Waiting] = deque()
        self._changed = threading.Condition()
        self._closed = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Load the chain in the first process, which may raise; then answer."""
        self._engine.load()
        for number, worker in enumerate(self._engine.pool):
            thread = threading.Thread(target=self._work, args=(worker,), name=f"d2f-serve-{number}", daemon=True)
            self._threads.append(thread)
            thread.start()

    @property
    def waiting(self) -> int:
        """How many pictures wait."""
        return len(self._first) + len(self._explanations) + len(self._later)

    @property
    def replaced(self) -> int:
        """How many worker processes have been replaced."""
        return sum(worker.replaced for worker in self._engine.pool)

    @property
    def processes(self) -> list[int]:
        """The numbers of the worker processes that run."""
        return [worker.pid for worker in self._engine.pool if worker.pid is not None]

    def submit(self, upload: Upload, *, later: bool = False) -> Future[Row]:
        """Have a row made; cancelling the future takes the picture out of the queue.

        `later`: whether it stands back behind what people wait for, and is not refused where the queue is full.
        """
        if upload.failure is not None:
            done: Future[Row] = Future()
            done.set_result(failed_row(self.chain, upload.name, upload.failure))
            return done
        return self._wait(Waiting(InMemory(upload.name, upload.data)), self._later if later else self._first)

    def explain(self, upload: Upload, maps: MapChoice) -> Future[Told]:
        """Have an explanation made; it stands back behind rows that people wait for."""
        if upload.failure is not None:
            done: Future[Told] = Future()
            done.set_result(unexplained(upload.failure))
            return done
        return self._wait(Waiting(InMemory(upload.name, upload.data), maps), self._explanations)

    def _wait(self, one: Waiting, queue: deque[Waiting]) -> Future[Any]:
        with self._changed:
            if self._closed:
                raise about_to_end()
            if queue is not self._later and len(queue) >= self._limits.queue:
                words = f"{len(queue)} pictures wait already"
                raise Refused(503, "D2F706", words, "ask again later", headers=[("retry-after", "5")])
            queue.append(one)
            self._changed.notify()
        one.answer.add_done_callback(lambda answer: self._let_go(one, queue) if answer.cancelled() else None)
        return one.answer

    def _let_go(self, one: Waiting, queue: deque[Waiting]) -> None:
        """Take a picture that nobody waits for any more out of the queue, so that its bytes are free at once."""
        with self._changed, suppress(ValueError):  # a thread has taken it already
            queue.remove(one)

    def close(self) -> None:
        """Give up what waits, and end the processes."""
        with self._changed:
            self._closed = True
            for one in (*self._first, *self._explanations, *self._later):
                one.answer.cancel()
            self._changed.notify_all()
        self._engine.close()
        for thread in self._threads:
            thread.join()

    def _work(self, worker: Worker) -> None:
        """Answer with one worker process, until the end."""
        while not self._closed:
            with suppress(Exception):  # one that cannot be started now is tried again
                worker.start()
            if not (batch := self._next()):
                continue
            self._observe("batch", len(batch))
            for one in batch:
                self._observe("wait", time.monotonic() - one.since)
            if (maps := batch[0].maps) is not None:
                told: Told
                try:
                    told = worker.ask(Explain(batch[0].image, maps), blame=False)
                except Exception as error:
                    told = unexplained(_failure_of(error))
                batch[0].answer.set_result(told)
                continue
            for one, made in zip(batch, self._rows(worker, [one.image for one in batch]), strict=True):
                one.answer.set_result(made)

    def _rows(self, worker: Worker, images: list[InMemory]) -> list[Row]:
        try:
            rows, events = self._engine.answer(worker, images)
        except Exception as error:  # the process cannot be started, or was closed
            return [failed_row(self.chain, image, _failure_of(error)) for image in images]
        for event in events:
            self.chain.catalog.notify(event)
        return rows

    def _next(self) -> list[Waiting]:
        """Wait for pictures that go together, for a while; empty where none came, and at the end."""
        with self._changed:
            while self._changed.wait_for(lambda: self._closed or self.waiting, LONGEST_REST):
                if self._closed:
                    return []
                if self._most > 1 and len(self._first) < self._most:
                    self._changed.wait_for(lambda: len(self._first) >= self._most, self._limits.window_ms / 1000)
                for queue in (self._first, self._explanations, self._later):
                    if batch := self._taken(queue, 1 if queue is self._explanations else self._most):
                        return batch
        return []

    def _taken(self, queue: deque[Waiting], most: int) -> list[Waiting]:
        """Take pictures that somebody still waits for out of a queue."""
        batch: list[Waiting] = []
        while queue and len(batch) < most:
            one = queue.popleft()
            if one.answer.set_running_or_notify_cancel():
                batch.append(one)
        return batch


def _failure_of(error: Exception) -> Failure:
    if isinstance(error, WorkerFailure):
        return Failure(error.code, error.problems[0].message)
    return Failure("D2F414", f"the worker process could not answer: {error}")
