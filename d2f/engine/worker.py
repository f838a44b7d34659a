"""A supervised worker process: it answers requests, is limited in time and memory, and is replaced when it fails.

The child is a fresh interpreter (never a fork) that imports ``module:function``, calls it once with the given
arguments, and calls what that returned with each request. `d2f.engine.worker_child` is the child's side.
"""

from __future__ import annotations

import math
import os
import pickle
import sys
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor, wait
from itertools import islice
from queue import SimpleQueue
from typing import Any

from d2f.api.errors import D2FError, Exit, Problem
from d2f.engine.worker_child import ERROR
from d2f.engine.worker_process import Ended, SharedMemory, WorkerProcess

KEPT_MEMORY = 64 * 2**20
"""Bytes of shared memory that are kept for the next request; more is given back after each."""

DEATHS = 3
"""Worker processes that a stage may end before it is switched off."""

FAILURE_CODES = {
    "time": "D2F410",
    "died": "D2F411",
    "killed": "D2F411",
    "closed": "D2F411",
    "memory": "D2F412",
    "off": "D2F413",
    "raised": "D2F414",
}
"""Code of each reason why a request has no answer."""


class WorkerFailure(D2FError):
    """A request without an answer; the worker's next request works.

    `reason`: a key of `FAILURE_CODES`. `stage`: the label that `worker_child.running` had set at that moment, empty
    where none was. `output`: the end of what the worker wrote to its standard output and error.
    """

    def __init__(self, reason: str, message: str, stage: str = "", output: str = "") -> None:
        self.reason, self.message, self.stage, self.output = reason, message, stage, output
        self.code = FAILURE_CODES[reason]
        notes = tuple(f"its last output: {line}" for line in (self.last_line,) if line)
        super().__init__(Problem(self.code, message, notes=notes), Exit.SOME_FAILED)

    @property
    def last_line(self) -> str:
        """The line of the output that says most: where Python was, or the last one."""
        _, dumped, frames = self.output.rpartition("(most recent call first):")
        lines = frames.strip().splitlines()
        return lines[0 if dumped else -1].strip() if lines else ""


class Deaths:
    """How many worker processes each stage has ended, lately; may be shared by several workers.

    As many as `most` switch the stage off; one counts no more after `forget_after` seconds.
    """

    def __init__(self, most: int = DEATHS, forget_after: float = math.inf) -> None:
        self._most, self._forget_after = most, forget_after
        self._times: dict[str, deque[float]] = {}
        self._lock = threading.Lock()

    def add(self, stage: str) -> None:
        """Count a worker process that ended while `stage` was running; empty stands for the target itself."""
        with self._lock:
            self._times.setdefault(stage, deque(maxlen=self._most)).append(time.monotonic())

    @property
    def switched_off(self) -> frozenset[str]:
        """The stages that are not to run any more."""
        since = time.monotonic() - self._forget_after
        with self._lock:
            return frozenset(
                stage for stage, times in self._times.items() if len(times) == self._most and times[0] > since
            )


class Worker:
    """A worker process, started with the first request, replaced when it fails; may be asked from several threads.

    `target` (``module:function``, importable in a fresh interpreter) is called once with `arguments`, which can be
    pickled, and what it returns with each request, whose arrays are read-only and stand until its answer only. A
    request may take `time_limit` seconds (a stage may have a limit of its own: `worker_child.running`), the start
    `start_limit`; the process may use `memory_limit` bytes beside what it shares. `deaths` counts processes that ended,
    `replaced` those that ended otherwise than by `close`.
    """

    def __init__(
        self,
        target: str,
        arguments: Any = None,
        *,
        time_limit: float | None = None,
        memory_limit: int | None = None,
        environment: Mapping[str, str] | None = None,
        start_limit: float = 300.0,
        deaths: Deaths | None = None,
    ) -> None:
        self.target, self.time_limit, self.memory_limit = target, time_limit, memory_limit
        self.deaths = deaths or Deaths()
        self.replaced = 0
        self._arguments = pickle.dumps(arguments, 5)
        self._environment, self._start_limit = dict(environment or {}), start_limit
        self._memory = SharedMemory()
        self._lock = threading.Lock()
        self._closed = False
        self._process: list[WorkerProcess] = []
        weakref.finalize(self, _end_all, self._process, os.getpid())

    @property
    def pid(self) -> int | None:
        """The number of the process; None while there is none."""
        return self._process[0].pid if self._process else None

    def start(self) -> None:
        """Start the process, where there is none; see `ask` for what is raised."""
        with self._lock:
            self._ready()

    def ask(self, request: Any, time_limit: float | None = None, *, blame: bool = True) -> Any:
        """Return the worker's answer; arrays in a request travel through shared memory, uncopied on the child's side.

        Raises WorkerFailure where there is none, and the target's own D2FError. `blame`: whether `deaths` counts a
        process that this request ends.
        """
        with self._lock:
            self._ready()
            value = self._exchange(request, time_limit or self.time_limit, blame)
            if self._process[0].has_grown():
                self._replace()
            return value

    def abort(self) -> None:
        """End the request that is under way in another thread, which gets a failure; the next one works."""
        for process in list(self._process) if self._lock.locked() else ():
            process.aborted = True
            process.kill()

    def close(self) -> None:
        """End the process; a request that is under way in another thread gets a failure."""
        self._closed = True
        if not self._lock.acquire(blocking=False):
            self.abort()
            self._lock.acquire()
        try:
            for process in self._process:
                process.close()
            self._process.clear()
            self._memory.drop()
        finally:
            self._lock.release()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _ready(self) -> None:
        """Have a process that waits for a request."""
        if self._closed:
            raise WorkerFailure("closed", "the worker was closed")
        if "" in self.deaths.switched_off:
            raise WorkerFailure("off", f"{self.target} is switched off: it ended {DEATHS} worker processes")
        if self._process and not self._process[0].is_alive():
            self._replace()
        if not self._process:
            try:
                self._process.append(WorkerProcess(self._environment, self.memory_limit))
            except OSError as error:
                raise WorkerFailure("died", f"the worker process could not be started: {error}") from None
            try:
                self._exchange((sys.path, self.target, self._arguments, self.memory_limit), self._start_limit)
            except BaseException as error:
                if isinstance(error, WorkerFailure):
                    self.deaths.add("")
                self._replace()
                raise

    def _exchange(self, request: Any, time_limit: float | None, blame: bool = False) -> Any:
        """Send a request to the process and return its answer; a process that does not answer is ended."""
        place = self._memory.put(request)
        process = self._process[0]
        try:
            process.send(self._memory, place)
            kind, value = process.receive(time_limit)
        except Ended as ended:
            output = self._replace()
            if process.aborted:
                raise WorkerFailure("closed", "the request was given up", ended.stage, output) from None
            if blame:
                self.deaths.add(ended.stage)
            raise WorkerFailure(ended.reason, str(ended), ended.stage, output) from None
        except BaseException:  # the answer to this request may not become the answer to the next
            self._replace()
            raise
        if self._memory.size > KEPT_MEMORY:
            self._memory.drop()
        if kind == ERROR:  # what the target raised, as the child wrote it
            reason, what, more = value
            if reason == "problems":
                raise D2FError(what, Exit(more))
            raise WorkerFailure(reason, f"the worker raised {what}", output=process.output() + more)
        return value

    def _replace(self) -> str:
        """End the process, so that the next request starts another; return its last output."""
        self.replaced += len(self._process)
        return "".join(_end_all(self._process))


class WorkerPool:
    """So many workers with one target, which answer requests in order; `forget_after`: of the `Deaths` they share."""

    def __init__(
        self, count: int, target: str, arguments: Any = None, *, forget_after: float = math.inf, **settings: Any
    ) -> None:
        self.deaths = Deaths(forget_after=forget_after)
        self.workers = [Worker(target, arguments, deaths=self.deaths, **settings) for _ in range(count)]

    def map(
        self, requests: Iterable[Any], ask: Callable[[Worker, Any], Any] = Worker.ask, ahead: int | None = None
    ) -> Iterator[Any]:
        """Answer requests, which are taken lazily, in order, while later ones are being worked on.

        Yields what `ask` returned in a thread, or a `WorkerFailure` that it raised; what else it raised is raised, and
        what `requests` raises after the answers to those before it. `ahead`: requests that may be under way or answered
        and not yet taken; by default twice the number of workers.
        """
        idle: SimpleQueue[Worker] = SimpleQueue()
        for worker in self.workers:
            idle.put(worker)

        def answer(request: Any) -> Any:
            worker = idle.get()
            try:
                return ask(worker, request)
            except WorkerFailure as failure:
                return failure
            finally:
                idle.put(worker)

        from d2f.engine.prefetch import defer_errors

        broken: list[Exception] = []
        source = defer_errors(requests, broken)
        threads = ThreadPoolExecutor(len(self.workers), "d2f-worker")
        window: deque[Future[Any]] = deque()
        try:
            window += (threads.submit(answer, one) for one in islice(source, ahead or 2 * len(self.workers)))
            while window:
                found = window.popleft().result()
                window += (threads.submit(answer, one) for one in islice(source, 1))
                yield found
            if broken:
                raise broken[0]
        finally:
            busy = {future for future in window if not future.cancel()}
            while wait(busy, timeout=0.1).not_done:
                for worker in self.workers:
                    worker.abort()
            threads.shutdown()

    def close(self) -> None:
        """End all workers."""
        for worker in self.workers:
            worker.close()

    def __enter__(self) -> WorkerPool:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _end_all(processes: list[WorkerProcess], owner: int = 0) -> list[str]:
    """End processes and forget them, but not in a fork of the process that started them; return their output."""
    if owner not in (0, os.getpid()):
        return []
    output = [process.end() for process in processes]
    processes.clear()
    return output
