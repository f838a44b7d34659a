"""One image walked through the tree of views: each view made once, each reader served from it."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field

from d2f.api.arrays import Pixels
from d2f.api.inputs import FileBytes, ImageFile, Tiles
from d2f.api.outcomes import Abstention
from d2f.api.rows import Failure
from d2f.engine.apply import apply_step, read_only
from d2f.engine.findings import Finding, ask
from d2f.engine.job import Job
from d2f.engine.tiles import corners, cut
from d2f.engine.tree import Node, Reader
from d2f.engine.watch import Watch


class Stopped(BaseException):
    """The run has ended; nobody waits for this image any more."""


@dataclass(slots=True)
class Walk:
    """What is left to do for an image after a worker had it.

    Parameters
    ----------
    job : Job
    image : ImageFile
    waiting : list of (Reader, tiles, view or image)
        To be scored in batches.
    later : list of (Node, pixels of the node above)
        Views whose preprocessor runs in the engine's own thread only.
    """

    job: Job
    image: ImageFile
    waiting: list[tuple[Reader, Pixels | ImageFile]] = field(default_factory=list)
    later: list[tuple[Node, Pixels]] = field(default_factory=list)


class Walker:
    """Walks images through a tree.

    Parameters
    ----------
    root : Node
    watch : Watch
    stop : threading.Event
        Once set, walks under way raise `Stopped` at the next stage.
    """

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
