"""A plan run over images in one call."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import groupby, islice
from typing import Any, TypeVar

import numpy as np

from d2f.api.inputs import ImageFile, Pixels, Tiles
from d2f.api.outcomes import Abstention, StageFinished
from d2f.api.rows import Failure
from d2f.api.stages import Detector
from d2f.cores import usable_cores
from d2f.engine.findings import Finding, Observe, Watch, ask
from d2f.engine.loading import load_stages
from d2f.engine.plan import Plan, Scored
from d2f.engine.views import Job, Node, Reader, Slot, Walk, Walker, grow
from d2f.images.read import Bounds, Unread, load_image

__all__ = ["LocalEngine", "Scored", "Unread", "load_ahead", "score_images"]
IMAGES_AT_ONCE = 8
"""Whole images, or files, that a detector is given in one call."""

BYTES_AT_ONCE = 128 * 2**20
"""A batch of whole images, or files, is called early once it holds this many bytes."""

Entry = tuple[Slot, Any]
"""A part to be scored (tile, view or file) and whose it is."""


class Queue:
    """Parts waiting for a full batch of one detector, whatever image and view they come from."""

    pool = ""

    def __init__(self, detector: str, stage: Detector, size: int, watch: Watch) -> None:
        self._detector = detector
        self._stage = stage
        self._size = size
        self._watch = watch
        self._waiting: list[Entry] = []

    def add(self, job: Job, reader: Reader, parts: Sequence[Any]) -> None:
        """Take one member's parts; score what fills a batch."""
        slot = Slot(job, reader.index, reader.view, len(parts), self.pool)
        self._waiting += [(slot, part) for part in parts]
        while self._is_full():
            self._run(self._taken())

    def flush(self) -> None:
        """Score what is left, in a batch that is not full."""
        while self._waiting:
            self._run(self._taken())

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._size

    def _taken(self) -> list[Entry]:
        taken, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        return taken

    def _run(self, entries: list[Entry]) -> None:
        found = self._asked(entries)
        if not isinstance(found, Failure):
            _give(entries, found)
            return
        # The guilty image is found by asking again for each alone; the others' scores stand.
        groups = [list(group) for _, group in groupby(entries, key=lambda entry: id(entry[0]))]
        for group in groups:
            again = found if len(groups) == 1 else self._asked(group)
            _give(group, [again] * len(group) if isinstance(again, Failure) else again)

    def _asked(self, entries: list[Entry]) -> list[Finding] | Failure:
        begun = time.perf_counter()
        found = ask(self._stage, self._batch([part for _, part in entries]))
        self._tell(entries, time.perf_counter() - begun)
        return found if isinstance(found, Failure) else found[: len(entries)]

    def _tell(self, entries: list[Entry], seconds: float) -> None:
        """Tell of each view by itself, with its share of the time."""
        parts = Counter(slot.view for slot, _ in entries)
        images = Counter(view for view, _ in {(slot.view, id(slot)) for slot, _ in entries})
        for view, count in parts.items():
            share = seconds * count / len(entries)
            self._watch.tell(StageFinished("detector", self._detector, view, images[view], share))

    def _batch(self, parts: list[Any]) -> Any:
        raise NotImplementedError


class TileQueue(Queue):
    """Tiles, called in one fixed shape: what is left over is padded with black."""

    def __init__(self, detector: str, stage: Detector, tiles: Tiles, watch: Watch) -> None:
        super().__init__(detector, stage, tiles.batch, watch)
        self._shape = (tiles.batch, tiles.size, tiles.size, 3)
        self.pool = tiles.pool

    def _batch(self, parts: list[Pixels]) -> Pixels:
        block = np.zeros(self._shape, dtype=np.uint8)
        block[: len(parts)] = parts
        block.flags.writeable = False
        return block


class WholeQueue(Queue):
    """Whole views, or files, called in lists."""

    def __init__(self, detector: str, stage: Detector, watch: Watch) -> None:
        super().__init__(detector, stage, IMAGES_AT_ONCE, watch)

    def _is_full(self) -> bool:
        return len(self._waiting) >= self._size or sum(_size(part) for _, part in self._waiting) >= BYTES_AT_ONCE

    def _batch(self, parts: list[Pixels | ImageFile]) -> list[Pixels | ImageFile]:
        return parts


def _size(part: Pixels | ImageFile) -> int:
    """Return how many bytes a waiting part keeps in memory."""
    return len(part.data) + part.pixels.nbytes if isinstance(part, ImageFile) else part.nbytes


def _give(entries: list[Entry], found: Sequence[Finding]) -> None:
    for (slot, _), one in zip(entries, found, strict=True):
        slot.take((one,))


Item = TypeVar("Item")


def until_broken(source: Iterable[Item], broken: list[Exception]) -> Iterator[Item]:
    """Yield the items of a source; an exception that it raises ends them and is put into `broken`."""
    try:
        yield from source
    except Exception as error:
        broken.append(error)


IN_FLIGHT = 64
"""Images that may wait for a batch to fill, besides two batches' worth; then batches are called as they are."""

BYTES_IN_FLIGHT = 512 * 2**20
"""Bytes of files and pixels that workers may hold; a larger image is worked on alone."""


class LocalEngine:
    """A plan with its stages loaded, ready to score any number of times."""

    def __init__(self, plan: Plan, workers: int | None = None, observe: Observe | None = None) -> None:
        self.plan = plan
        self.workers = max(1, workers or usable_cores())
        self.watch = Watch(observe)
        self._tree: tuple[Node, dict[int, Abstention]] | None = None

    def load(self) -> None:
        """Load every stage, once."""
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
        self._members = engine.plan.members
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
        job = Job(image, self._members)
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


BYTES_AHEAD = 256 * 2**20
"""Bytes of files and pixels that are decoded and not yet taken; one larger image is let through alone."""


def load_ahead(
    paths: Iterable[str],
    bounds: Bounds | None = None,
    workers: int | None = None,
    observe: Observe | None = None,
    held: int = BYTES_AHEAD,
) -> Iterator[ImageFile | Unread]:
    """Read and decode files while earlier ones are being worked on."""
    workers = max(1, workers or usable_cores())
    room = Room(held)
    load = partial(_load, bounds or Bounds(), room, Watch(observe))
    pool = ThreadPoolExecutor(workers, "d2f-read")
    broken: list[Exception] = []
    turns = enumerate(until_broken(paths, broken))
    window: deque[Future[ImageFile | Unread]] = deque()
    try:
        for turn, path in islice(turns, 4 * workers + 4):
            window.append(pool.submit(load, turn, path))
        while window:
            image = window.popleft().result()
            room.leave()
            window.extend(pool.submit(load, turn, path) for turn, path in islice(turns, 1))
            yield image
        if broken:
            raise broken[0]
    finally:
        room.close()
        pool.shutdown(wait=True, cancel_futures=True)


def _load(bounds: Bounds, room: Room, watch: Watch, turn: int, path: str) -> ImageFile | Unread:
    with watch.timed("decode", "decode"):
        return load_image(path, bounds, partial(room.reserve, turn))


class Closed(BaseException):
    """Nobody waits for this file any more."""


class Room:
    """Memory shared out among files by turn: whose turn it is always gets what it asks for.

    So the bound may be passed by one file, and readers never wait for each other in a circle.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._turn = 0
        self._used: dict[int, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def reserve(self, turn: int, size: int) -> None:
        """Wait until `size` bytes more are free for file number `turn`."""
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._is_free(turn, size))
            if self._closed:
                raise Closed
            self._used[turn] = self._used.get(turn, 0) + size

    def leave(self) -> None:
        """Give back what the file whose turn it is holds, and go on to the next."""
        with self._changed:
            self._used.pop(self._turn, None)
            self._turn += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Send everybody home."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def _is_free(self, turn: int, size: int) -> bool:
        return turn == self._turn or sum(self._used.values()) + size <= self._limit


def score_images(
    plan: Plan,
    images: Iterable[ImageFile | Unread],
    *,
    workers: int | None = None,
    observe: Observe | None = None,
) -> Iterator[Scored]:
    """Load a plan's stages and score images, in order."""
    engine = LocalEngine(plan, workers, observe)
    engine.load()
    return engine.score(images)
