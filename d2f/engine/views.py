"""A preprocessor laid over pixels, and what it returned made sure of."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from d2f.api.errors import D2FError, Exit, Problem
from d2f.api.inputs import FileBytes, ImageFile, Input, Pixels, Tiles
from d2f.api.outcomes import Abstention
from d2f.api.rows import Failure, Member
from d2f.api.stages import Detector
from d2f.engine.findings import STAGE_ERRORS, Finding, Watch, as_member, ask, pooled, said
from d2f.engine.plan import PLAIN, BoundDetector, Plan, Scored, Step, step_seed
from d2f.engine.tiles import corners, cut
from d2f.images.read import Unread


class Job:
    """An image's facts and the members found so far; no pixels, so that waiting for a batch is cheap."""

    __slots__ = ("_facts", "_failure", "_left", "_members")

    def __init__(self, image: ImageFile | Unread, members: Sequence[tuple[str, str]]) -> None:
        unread = isinstance(image, Unread)
        self._facts = (image.path, image.sha256, image.width, image.height, image.format)
        self._failure = image.failure if isinstance(image, Unread) else None
        self._members: list[Member] = [] if unread else [Member(*names) for names in members]
        self._left = len(self._members)

    def settle(self, index: int, finding: Finding) -> None:
        """Write what was found for one member; called once for each."""
        member = self._members[index]
        self._members[index] = as_member(member.detector, member.view, finding)
        self._left -= 1

    @property
    def finished(self) -> bool:
        """Whether every member is settled."""
        return self._left == 0

    def scored(self) -> Scored:
        """Return the finished image."""
        return Scored(*self._facts, tuple(self._members), self._failure)


@dataclass(slots=True, eq=False)
class Slot:
    """One member of one image, waiting for the scores of its `expected` parts."""

    job: Job
    index: int
    view: str
    expected: int
    pool: str = "mean"
    found: tuple[Finding, ...] = ()

    def take(self, findings: Sequence[Finding]) -> None:
        """Add the next parts' findings; the last ones settle the member."""
        self.found += tuple(findings)
        if len(self.found) == self.expected:
            whole = self.found[0] if self.expected == 1 and not self.pool else pooled(self.found, self.pool)
            self.job.settle(self.index, whole)


@dataclass(frozen=True, slots=True)
class Reader:
    """One member of the plan: a detector that looks at a view.

    `at_once` says that it may be asked in a worker thread, one image at a time.
    """

    index: int
    detector: str
    view: str
    stage: Detector
    wants: Input
    at_once: bool


@dataclass(slots=True)
class Node:
    """A view, or the beginning of several: what a step makes of the node above."""

    view: str
    place: int = -1
    step: Step | None = None
    readers: list[Reader] = field(default_factory=list)
    children: dict[str, Node] = field(default_factory=dict)

    @property
    def anywhere(self) -> bool:
        """Whether the step may run in a worker thread."""
        return self.step is None or bool(getattr(self.step.stage, "thread_safe", False))

    def below(self) -> list[Reader]:
        """Return the readers of this node and of all that follow from it."""
        found = list(self.readers)
        for child in self.children.values():
            found += child.below()
        return found


def grow(plan: Plan, missing: Mapping[int, str]) -> tuple[Node, dict[int, Abstention]]:
    """Build the tree of the views that are read."""
    root = Node(PLAIN)
    settled: dict[int, Abstention] = {}
    members = [(detector, view) for detector in plan.detectors for view in detector.views]
    for index, (detector, view) in enumerate(members):
        steps = _steps(plan, detector, view)
        stages = [detector.stage, *(step.stage for step in steps)]
        reason = next((missing[id(stage)] for stage in stages if id(stage) in missing), None)
        if reason is not None:
            settled[index] = Abstention(reason)
        else:
            _node(root, view, steps).readers.append(_reader(index, detector, view))
    return root, settled


def _steps(plan: Plan, detector: BoundDetector, view: str) -> tuple[Step, ...]:
    if view != PLAIN and view not in plan.views:
        raise D2FError.of("D2F120", f"detector {detector.id!r} looks at a view {view!r} that is not there")
    if isinstance(detector.stage.wants, FileBytes) and view != PLAIN:
        raise D2FError.of("D2F123", f"detector {detector.id!r} reads the file's bytes, not view {view!r}")
    return plan.views.get(view, ())


def _node(root: Node, view: str, steps: tuple[Step, ...]) -> Node:
    node = root
    for place, step in enumerate(steps):
        node = node.children.setdefault(step.key, Node(view, place, step))
    return node


def _reader(index: int, detector: BoundDetector, view: str) -> Reader:
    stage = detector.stage
    wants = stage.wants
    at_once = bool(getattr(stage, "thread_safe", False)) and not isinstance(wants, Tiles)
    return Reader(index, detector.id, view, stage, wants, at_once)


def apply_steps(image: ImageFile, steps: Sequence[Step]) -> Pixels:
    """Lay a list of preprocessors over an image, as a view of a chain would.

    Returns shape (height, width, 3), uint8.
    """
    pixels = read_only(image.pixels)
    for place, step in enumerate(steps):
        made = apply_step(step, place, pixels, image.seed)
        if isinstance(made, Failure):
            raise D2FError(Problem(made.code, f"{image.path}: {made.message}"), Exit.SOME_FAILED)
        pixels = made
    return pixels


def apply_step(step: Step, place: int, pixels: Pixels, image_seed: int, where: str = "") -> Pixels | Failure:
    """Lay one preprocessor over pixels.

    `pixels` shape (height, width, 3), uint8.
    """
    name = step.stage.name
    try:
        made = step.stage.apply(pixels, step_seed(image_seed, place, step.key))
    except STAGE_ERRORS as error:
        return Failure("D2F404", f"preprocessor {name!r}{where}: {said(error)}")
    fault = _fault(made)
    if fault:
        return Failure("D2F405", f"preprocessor {name!r}{where} returned {fault}")
    return read_only(made)


def read_only(pixels: Pixels) -> Pixels:
    """Return the pixels in one block that cannot be written to; the given array stays as it is."""
    view = np.ascontiguousarray(pixels).view()
    view.flags.writeable = False
    return view


def _fault(made: object) -> str:
    """Say what keeps something from being a view; empty where nothing does."""
    if not isinstance(made, np.ndarray):
        return f"a {type(made).__name__}, not an array"
    if made.dtype != np.uint8 or made.ndim != 3 or made.shape[2] != 3 or made.size == 0:
        return f"{made.dtype} of shape {made.shape}, not uint8 of (height, width, 3)"
    return ""


class Stopped(BaseException):
    """The run has ended; nobody waits for this image any more."""


@dataclass(slots=True)
class Walk:
    """What is left to do for an image after a worker had it."""

    job: Job
    image: ImageFile
    waiting: list[tuple[Reader, Pixels | ImageFile]] = field(default_factory=list)
    later: list[tuple[Node, Pixels]] = field(default_factory=list)


class Walker:
    """Walks images through a tree."""

    def __init__(self, root: Node, watch: Watch, stop: threading.Event) -> None:
        self._root = root
        self._watch = watch
        self._stop = stop

    def begin(self, walk: Walk) -> Walk:
        """Do all that may be done in a worker thread."""
        self._visit(self._root, read_only(walk.image.pixels), walk, anywhere=False)
        return walk

    def finish(self, walk: Walk) -> Walk:
        """Do the rest, in the engine's own thread."""
        while walk.later:
            node, above = walk.later.pop(0)
            self._follow(node, above, walk, anywhere=True)
        return walk

    def _visit(self, node: Node, pixels: Pixels, walk: Walk, anywhere: bool) -> None:
        for reader in node.readers:
            self._read(reader, pixels, walk)
        for child in node.children.values():
            if anywhere or child.anywhere:
                self._follow(child, pixels, walk, anywhere)
            else:
                walk.later.append((child, pixels))

    def _follow(self, node: Node, above: Pixels, walk: Walk, anywhere: bool) -> None:
        made = self._made(node, above, walk.image)
        if not isinstance(made, Failure):
            self._visit(node, made, walk, anywhere)
            return
        for reader in node.below():
            walk.job.settle(reader.index, made)

    def _made(self, node: Node, above: Pixels, image: ImageFile) -> Pixels | Failure:
        self._still_wanted()
        step = node.step
        assert step is not None
        with self._watch.timed("preprocessor", step.stage.name, node.view):
            return apply_step(step, node.place, above, image.seed, f" of view {node.view!r}")

    def _read(self, reader: Reader, pixels: Pixels, walk: Walk) -> None:
        self._still_wanted()
        wants = reader.wants
        if isinstance(wants, Tiles):
            places = corners(pixels, wants)
            if places:
                walk.waiting.append((reader, cut(pixels, places, wants.size)))
            else:
                walk.job.settle(reader.index, _too_small(pixels, wants.size))
            return
        given = walk.image if isinstance(wants, FileBytes) else pixels
        if reader.at_once:
            walk.job.settle(reader.index, self._asked(reader, given))
        else:
            walk.waiting.append((reader, given))

    def _asked(self, reader: Reader, given: Pixels | ImageFile) -> Finding:
        with self._watch.timed("detector", reader.detector, reader.view):
            found = ask(reader.stage, [given])  # type: ignore[arg-type]
        return found if isinstance(found, Failure) else found[0]

    def _still_wanted(self) -> None:
        if self._stop.is_set():
            raise Stopped


def _too_small(pixels: Pixels, size: int) -> Abstention:
    height, width = pixels.shape[:2]
    return Abstention(f"the view is {width}x{height} pixels, smaller than a tile of {size}x{size}")
