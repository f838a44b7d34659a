"""Work of many images gathered into batches for one detector; used in the engine's own thread only."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from itertools import groupby
from typing import Any

import numpy as np

from d2f.api.arrays import Pixels
from d2f.api.events import StageFinished
from d2f.api.inputs import ImageFile, Tiles
from d2f.api.rows import Failure
from d2f.api.stages import Detector
from d2f.engine.findings import Finding, ask
from d2f.engine.job import Job, Slot
from d2f.engine.tree import Reader
from d2f.engine.watch import Watch

IMAGES_AT_ONCE = 8
"""Whole images, or files, that a detector is given in one call."""

BYTES_AT_ONCE = 128 * 2**20
"""A batch of whole images, or files, is called early once it holds this many bytes."""

Entry = tuple[Slot, Any]
"""A part to be scored (tile, view or file) and whose it is."""


class Queue:
    """Parts waiting for a full batch of one detector, whatever image and view they come from.

    Parameters
    ----------
    detector : str
        The detector's id, for observers.
    stage : Detector
    size : int
        How many parts are a full batch.
    watch : Watch
    """

    pool = ""

    def __init__(self, detector: str, stage: Detector, size: int, watch: Watch) -> None:
        self._detector = detector
        self._stage = stage
        self._size = size
        self._watch = watch
        self._waiting: list[Entry] = []

    def add(self, job: Job, reader: Reader, parts: Sequence[Any]) -> None:
        """Take one cell's parts; score what fills a batch."""
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
