"""The engine of one machine: images in, scores out, in the same order, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

from d2f.api.inputs import ImageFile, Tiles
from d2f.api.outcomes import Abstention
from d2f.engine.cores import usable_cores
from d2f.engine.job import Job
from d2f.engine.loading import load_stages
from d2f.engine.plan import Plan
from d2f.engine.queues import Queue, TileQueue, WholeQueue
from d2f.engine.scored import Scored
from d2f.engine.tree import Node, grow
from d2f.engine.unbroken import until_broken
from d2f.engine.walk import Walk, Walker
from d2f.engine.watch import Observe, Watch
from d2f.reading.unread import Unread

IN_FLIGHT = 64
"""Images that may wait for a batch to fill, besides two batches' worth; then batches are called as they are."""

BYTES_IN_FLIGHT = 512 * 2**20
"""Bytes of files and pixels that workers may hold; a larger image is worked on alone."""


class LocalEngine:
    """A plan with its stages loaded, ready to score any number of times.

    Parameters
    ----------
    plan : Plan
    workers : int, optional
        Threads for preprocessors and detectors that allow it; by default the cores that the process
        may use. Everything else runs in the thread that takes the results.
    observe : callable, optional
        Told of every stage that has finished; may be called from any thread, one at a time.
    """

    def __init__(self, plan: Plan, workers: int | None = None, observe: Observe | None = None) -> None:
        self.plan = plan
        self.workers = max(1, workers or usable_cores())
        self.watch = Watch(observe)
        self._tree: tuple[Node, dict[int, Abstention]] | None = None

    def load(self) -> None:
        """Load every stage, once.

        Raises
        ------
        D2FError
            Exit code 3 where a stage could not be loaded. Weights that are not on this machine are no
            error: their cells abstain, and name the command that fetches them.
        """
        if self._tree is None:
            self._tree = grow(self.plan, load_stages(self.plan))

    def score(self, images: Iterable[ImageFile | Unread]) -> Iterator[Scored]:
        """Score images, in order. Closing the iterator early stops the workers.

        An exception that `images` raises is raised again after the rows of the images before it.
        """
        self.load()
        assert self._tree is not None
        root, settled = self._tree
        run = _Run(self, root, settled)
        try:
            yield from run.over(images)
        finally:
            run.stop()


class _Run:
    """One pass over images."""

    def __init__(self, engine: LocalEngine, root: Node, settled: dict[int, Abstention]) -> None:
        self._cells = engine.plan.cells
        self._settled = settled
        self._stopped = threading.Event()
        self._walker = Walker(root, engine.watch, self._stopped)
        self._pool = ThreadPoolExecutor(engine.workers, "d2f-view")
        self._queues = _queues(engine.plan, engine.watch)
        self._window = 2 * engine.workers + 16
        self._in_flight = IN_FLIGHT + 2 * max(_batches(engine.plan), default=0)
        self._jobs: deque[Job] = deque()
        self._walks: deque[tuple[Future[Walk], int]] = deque()
        self._bytes = 0

    def over(self, images: Iterable[ImageFile | Unread]) -> Iterator[Scored]:
        """Yield the images' scores, in order."""
        broken: list[Exception] = []
        for image in until_broken(images, broken):
            self._take(image)
            yield from self._finished()
        self._drain()
        yield from self._finished()
        if broken:
            raise broken[0]

    def stop(self) -> None:
        """End the workers; those under way give up at their next stage."""
        self._stopped.set()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, image: ImageFile | Unread) -> None:
        job = Job(image, self._cells)
        self._jobs.append(job)
        if isinstance(image, ImageFile):
            self._send(job, image)
        while self._walks and self._walks[0][0].done():
            self._receive()
        if len(self._jobs) >= self._in_flight:
            self._drain()

    def _send(self, job: Job, image: ImageFile) -> None:
        for index, abstention in self._settled.items():
            job.settle(index, abstention)
        held = len(image.data) + image.pixels.nbytes
        while self._walks and (len(self._walks) >= self._window or self._bytes + held > BYTES_IN_FLIGHT):
            self._receive()
        self._bytes += held
        self._walks.append((self._pool.submit(self._walker.begin, Walk(job, image)), held))

    def _receive(self) -> None:
        """Take the oldest image from the workers, and queue what is to be scored in batches."""
        future, held = self._walks.popleft()
        self._bytes -= held
        walk = self._walker.finish(future.result())
        for reader, part in walk.waiting:
            parts = part if isinstance(reader.wants, Tiles) else (part,)
            self._queues[reader.detector].add(walk.job, reader, parts)  # type: ignore[arg-type]

    def _drain(self) -> None:
        """Finish every image that is under way."""
        while self._walks:
            self._receive()
        for queue in self._queues.values():
            queue.flush()

    def _finished(self) -> Iterator[Scored]:
        while self._jobs and self._jobs[0].finished:
            yield self._jobs.popleft().scored()


def _queues(plan: Plan, watch: Watch) -> dict[str, Queue]:
    queues: dict[str, Queue] = {}
    for detector in plan.detectors:
        wants = detector.stage.wants
        if isinstance(wants, Tiles):
            queues[detector.id] = TileQueue(detector.id, detector.stage, wants, watch)
        else:
            queues[detector.id] = WholeQueue(detector.id, detector.stage, watch)
    return queues


def _batches(plan: Plan) -> list[int]:
    return [detector.stage.wants.batch for detector in plan.detectors if isinstance(detector.stage.wants, Tiles)]
