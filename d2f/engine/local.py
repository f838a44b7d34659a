"""The engine of one machine: images go through the views in worker threads, then through detectors in batches.

An image becomes a `Task`. A worker thread walks the tree of views for it: it applies the steps and scores the members
whose stages are thread-safe. What is left, steps and members of stages that are not, is done in the thread that called
`LocalEngine.score`: tiles and whole views wait in a `Batch` for each detector until it is full. Rows leave in order.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from itertools import groupby
from typing import Any, TypeVar

import numpy as np

from d2f.api.inputs import FileBytes, ImageFile, Pixels, Tiles
from d2f.api.outcomes import Abstention, Score, StageFinished
from d2f.api.rows import NOT_RUN, Failure, Member
from d2f.api.stages import Detector
from d2f.cores import usable_cores
from d2f.engine.findings import (
    NEEDS_FILE,
    Examined,
    Examiner,
    Finding,
    Observe,
    Watch,
    as_member,
    load_stages,
    pooled,
    score_batch,
)
from d2f.engine.plan import Plan, Scored
from d2f.engine.prefetch import defer_errors
from d2f.engine.views import MemberStage, ViewNode, apply_step, covered, cut, read_only, tile_corners, view_tree
from d2f.images.read import Unread

Result = TypeVar("Result")

IMAGES_AT_ONCE = 8
"""Whole views, or files, that a detector is given in one call."""

BYTES_AT_ONCE = 128 * 2**20
"""A batch of whole views, or files, is scored early once it holds this many bytes."""

IN_FLIGHT = 64
"""Images that may wait for a batch to fill, besides two batches' worth; then batches are scored as they are."""

BYTES_IN_FLIGHT = 512 * 2**20
"""Bytes of files and pixels that workers may hold; a larger image is worked on alone."""


class Task:
    """One image on its way: its members so far, and what is left to do once a worker had it."""

    def __init__(self, image: ImageFile | Unread, plan: Plan) -> None:
        # Where verdicts are tried again, the image is held until its row is made.
        self.held = _bytes(image) if plan.decision and plan.decision.stability and isinstance(image, ImageFile) else 0
        self._known = Scored.of(image)
        self._image_notes = image.notes if isinstance(image, ImageFile) else ()
        self._members = [Member(*names) for names in plan.members] if isinstance(image, ImageFile) else []
        self._left = len(self._members)
        self.examined = Examined()
        self.waiting: list[tuple[Pending, Any]] = []
        self.deferred: list[tuple[ViewNode, Pixels]] = []

    def settle(self, index: int, finding: Finding) -> None:
        """Write the finding of one member; called once for each."""
        member = self._members[index]
        self._members[index] = as_member(member.detector, member.view, finding)
        self._left -= 1

    @property
    def finished(self) -> bool:
        """Whether every member is settled."""
        return self._left == 0

    def scored(self) -> Scored:
        """Return the finished image."""
        found = self.examined
        return replace(
            self._known,
            members=tuple(self._members),
            notes=(*self._image_notes, *found.notes),
            missing=found.missing,
            lost=found.lost,
            evidence=found.evidence,
            refused=found.refused,
        )


@dataclass(slots=True, eq=False)
class Pending:
    """One member of a task, waiting for the findings of its `expected` parts; `seen`: share of the view in them."""

    task: Task
    member: MemberStage
    expected: int
    seen: float | None
    found: tuple[Finding, ...] = ()

    def add(self, finding: Finding) -> None:
        """Add the next part's finding; the last one settles the member."""
        self.found += (finding,)
        if len(self.found) < self.expected:
            return
        wants = self.member.wants
        whole = pooled(self.found, wants.pool) if isinstance(wants, Tiles) else self.found[0]
        if isinstance(whole, Score) and whole.seen is None:
            whole = replace(whole, seen=self.seen)
        self.task.settle(self.member.index, whole)


Part = tuple[Pending, Any]
"""A tile, view or file to be scored, and the member that it belongs to."""


class Batch:
    """Parts waiting for a full batch of one detector, whatever image and view they come from."""

    def __init__(self, detector: str, stage: Detector, watch: Watch) -> None:
        self._detector, self._stage, self._watch = detector, stage, watch
        self._tiles = stage.wants if isinstance(stage.wants, Tiles) else None
        self._size = self._tiles.batch if self._tiles else IMAGES_AT_ONCE
        self._waiting: list[Part] = []

    def add(self, pending: Pending, parts: Any) -> None:
        """Take one member's parts; score what fills a batch."""
        self._waiting += [(pending, part) for part in parts]
        while len(self._waiting) >= self._size or (
            self._tiles is None and sum(_bytes(part) for _, part in self._waiting) >= BYTES_AT_ONCE
        ):
            self._score_next()

    def flush(self) -> None:
        """Score what is left, in a batch that is not full."""
        while self._waiting:
            self._score_next()

    def _score_next(self) -> None:
        parts, self._waiting = self._waiting[: self._size], self._waiting[self._size :]
        found = self._score(parts)
        if not isinstance(found, Failure):
            _settle(parts, found)
            return
        # The image at fault is found by scoring each alone; the others' scores stand.
        groups = [list(group) for _, group in groupby(parts, key=lambda part: id(part[0]))]
        for group in groups:
            again = found if len(groups) == 1 else self._score(group)
            _settle(group, [again] * len(group) if isinstance(again, Failure) else again)

    def _score(self, parts: list[Part]) -> list[Finding] | Failure:
        begun = time.perf_counter()
        found = score_batch(self._stage, self._stacked([part for _, part in parts]))
        self._notify(parts, time.perf_counter() - begun)
        return found if isinstance(found, Failure) else found[: len(parts)]

    def _stacked(self, parts: list[Any]) -> Any:
        """Return what the detector is given: a list, or tiles in one fixed shape, padded with black."""
        if self._tiles is None:
            return parts
        block = np.zeros((self._tiles.batch, self._tiles.size, self._tiles.size, 3), dtype=np.uint8)
        block[: len(parts)] = parts
        block.flags.writeable = False
        return block

    def _notify(self, parts: list[Part], seconds: float) -> None:
        """Notify the observer of each view by itself, with its share of the time."""
        counts = Counter(pending.member.view for pending, _ in parts)
        images = Counter(view for view, _ in {(pending.member.view, id(pending)) for pending, _ in parts})
        for view, count in counts.items():
            share = seconds * count / len(parts)
            self._watch.notify(StageFinished("detector", self._detector, view, images[view], share))


def _bytes(part: Pixels | ImageFile) -> int:
    return len(part.data) + part.pixels.nbytes if isinstance(part, ImageFile) else part.nbytes


def _settle(parts: list[Part], found: Sequence[Finding]) -> None:
    for (pending, _), one in zip(parts, found, strict=True):
        pending.add(one)


class RunStopped(BaseException):
    """The run has ended; no image is waited for any more."""


class Traversal:
    """Walks the tree of views for one image after another."""

    def __init__(self, root: ViewNode, unusable: dict[int, str], examiner: Examiner, watch: Watch) -> None:
        self._root, self._unusable = root, unusable
        self._examiner, self._watch = examiner, watch
        self._stopped = threading.Event()

    def stop(self) -> None:
        """Make images under way raise `RunStopped` at their next stage."""
        self._stopped.set()

    def begin(self, task: Task, image: ImageFile) -> ImageFile:
        """Do all that may be done in a worker thread."""
        task.examined = self._examiner.examine(image)
        for index, reason in self._unusable.items():
            task.settle(index, Abstention(reason))
        if task.examined.refused:
            names = ", ".join(f"'{note.code}'" for note in task.examined.notes)
            what = "precondition" if len(task.examined.notes) == 1 else "preconditions"
            for member in self._root.all_members():
                task.settle(member.index, Abstention(f"{NOT_RUN}the image fails {what} {names}"))
        else:
            self._visit(self._root, read_only(image.pixels), task, image, in_worker=True)
        return image

    def finish(self, task: Task, image: ImageFile) -> None:
        """Apply the deferred steps, in the engine's own thread."""
        while task.deferred:
            node, above = task.deferred.pop(0)
            self._apply(node, above, task, image, in_worker=False)

    def _visit(self, node: ViewNode, pixels: Pixels, task: Task, image: ImageFile, in_worker: bool) -> None:
        for member in node.members:
            self._score(member, pixels, task, image)
        for child in node.children.values():
            if in_worker and not child.thread_safe:
                task.deferred.append((child, pixels))
            else:
                self._apply(child, pixels, task, image, in_worker)

    def _apply(self, node: ViewNode, above: Pixels, task: Task, image: ImageFile, in_worker: bool) -> None:
        self._check_running()
        step = node.step
        assert step is not None
        with self._watch.timed("preprocessor", step.stage.name, node.view):
            made = apply_step(step, node.place, above, image.seed, f" of view {node.view!r}")
        if not isinstance(made, Failure):
            self._visit(node, made, task, image, in_worker)
            return
        for member in node.all_members():
            task.settle(member.index, made)

    def _score(self, member: MemberStage, pixels: Pixels, task: Task, image: ImageFile) -> None:
        self._check_running()
        wants = member.wants
        without_file = "" if image.data else NEEDS_FILE
        unmet = without_file if isinstance(wants, FileBytes) else member.needs.unmet(pixels)
        if unmet:
            task.settle(member.index, Abstention(unmet))
            return
        if isinstance(wants, Tiles):
            places = tile_corners(pixels, wants)
            if places:
                seen = covered(places, wants.size, pixels.shape[0], pixels.shape[1])
                task.waiting.append((Pending(task, member, len(places), seen), cut(pixels, places, wants.size)))
            else:
                tile, (height, width) = f"{wants.size}x{wants.size}", pixels.shape[:2]
                reason = f"the view is {width}x{height} pixels, smaller than a tile of {tile}"
                task.settle(member.index, Abstention(reason))
            return
        given = image if isinstance(wants, FileBytes) else pixels
        pending = Pending(task, member, 1, None if isinstance(wants, FileBytes) else member.needs.share(pixels))
        if not member.at_once:
            task.waiting.append((pending, (given,)))
            return
        with self._watch.timed("detector", member.detector, member.view):
            found = score_batch(member.stage, [given])  # type: ignore[arg-type]
        pending.add(found if isinstance(found, Failure) else found[0])

    def _check_running(self) -> None:
        if self._stopped.is_set():
            raise RunStopped


class CallingThread(Executor):
    """Does work at once, in the thread that submits it."""

    def submit(self, fn: Callable[..., Result], /, *args: Any, **kwargs: Any) -> Future[Result]:
        """Return the finished future of a call."""
        future: Future[Result] = Future()
        future.set_result(fn(*args, **kwargs))
        return future


class LocalEngine:
    """A plan with its stages loaded, ready to score any number of times; without `workers`, in one thread."""

    def __init__(self, plan: Plan, workers: int | None = None, observe: Observe | None = None) -> None:
        self.plan = plan
        self.workers = usable_cores() if workers is None else workers
        self.watch = Watch(observe)
        self._missing: dict[int, str] | None = None

    def load(self) -> None:
        """Load every stage, once; see `load_stages` for those that cannot be loaded."""
        if self._missing is None:
            missing = load_stages(self.plan)
            self._tree = view_tree(self.plan, missing)
            self._missing = missing

    def score(self, images: Iterable[ImageFile | Unread], examine: bool = True) -> Iterator[Scored]:
        """Score images, in order. Closing the iterator early stops the workers.

        An exception that `images` raises is raised again after the rows of the images before it. Without `examine` no
        precondition and no evidence reader is run.
        """
        self.load()
        root, unusable = self._tree
        plan = self.plan if examine else replace(self.plan, require=(), evidence=())
        examiner = Examiner(plan, self._missing or {}, unusable, self.watch)
        run = _Run(self, examiner, Traversal(root, unusable, examiner, self.watch))
        try:
            yield from run.over(images)
        finally:
            run.stop()


class _Run:
    """One pass over images."""

    def __init__(self, engine: LocalEngine, examiner: Examiner, traversal: Traversal) -> None:
        self._plan, self._examiner, self._traversal = engine.plan, examiner, traversal
        self._pool = ThreadPoolExecutor(engine.workers, "d2f-view") if engine.workers else CallingThread()
        detectors = engine.plan.detectors
        self._batches = {one.id: Batch(one.id, one.stage, engine.watch) for one in detectors}
        self._window = 2 * engine.workers + 16
        sizes = [one.stage.wants.batch for one in detectors if isinstance(one.stage.wants, Tiles)]
        self._in_flight = IN_FLIGHT + 2 * max(sizes, default=0)
        self._tasks: deque[Task] = deque()
        self._working: deque[tuple[Task, Future[ImageFile], int]] = deque()
        self._bytes = self._held = 0

    def over(self, images: Iterable[ImageFile | Unread]) -> Iterator[Scored]:
        """Yield the images' scores, in order."""
        errors: list[Exception] = []
        for image in defer_errors(images, errors):
            self._take(image)
            yield from self._finished()
        self._drain()
        yield from self._finished()
        if errors:
            raise errors[0]

    def stop(self) -> None:
        """End the workers; images under way are given up at their next stage."""
        self._traversal.stop()
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _take(self, image: ImageFile | Unread) -> None:
        task = Task(image, self._plan)
        self._tasks.append(task)
        self._held += task.held
        if isinstance(image, ImageFile):
            self._submit(task, image)
        else:
            task.examined = self._examiner.examine(image)
        while self._working and self._working[0][1].done():
            self._receive()
        if len(self._tasks) >= self._in_flight or self._held > BYTES_IN_FLIGHT:
            self._drain()

    def _submit(self, task: Task, image: ImageFile) -> None:
        held = _bytes(image)
        while self._working and (len(self._working) >= self._window or self._bytes + held > BYTES_IN_FLIGHT):
            self._receive()
        self._bytes += held
        self._working.append((task, self._pool.submit(self._traversal.begin, task, image), held))

    def _receive(self) -> None:
        """Take the oldest image from the workers, and put its parts into batches."""
        task, future, held = self._working.popleft()
        self._bytes -= held
        self._traversal.finish(task, future.result())
        waiting, task.waiting = task.waiting, []
        for pending, parts in waiting:
            self._batches[pending.member.detector].add(pending, parts)

    def _drain(self) -> None:
        """Finish every image that is under way."""
        while self._working:
            self._receive()
        for batch in self._batches.values():
            batch.flush()

    def _finished(self) -> Iterator[Scored]:
        while self._tasks and self._tasks[0].finished:
            task = self._tasks.popleft()
            self._held -= task.held
            yield task.scored()


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
