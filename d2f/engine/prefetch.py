"""Files read and decoded ahead of the stages that score them, in order, within a memory budget."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice
from typing import TypeVar

from d2f.api.inputs import ImageFile
from d2f.cores import usable_cores
from d2f.engine.findings import Observe, Watch
from d2f.images.memory import InMemory, load
from d2f.images.read import Bounds, Unread

BYTES_AHEAD = 256 * 2**20
"""Bytes of files and pixels that are decoded and not yet taken; one larger image passes alone."""

Item = TypeVar("Item")


def defer_errors(source: Iterable[Item], errors: list[Exception]) -> Iterator[Item]:
    """Yield the items of a source; an exception that it raises ends them and is put into `errors`."""
    try:
        yield from source
    except Exception as error:
        errors.append(error)


def prefetch(
    paths: Iterable[str | InMemory],
    bounds: Bounds | None = None,
    workers: int | None = None,
    observe: Observe | None = None,
    held: int = BYTES_AHEAD,
) -> Iterator[ImageFile | Unread]:
    """Read and decode images while earlier ones are being scored.

    An exception that `paths` raises is raised again after the images before it.
    """
    workers = max(1, workers or usable_cores())
    budget = MemoryBudget(held)
    watch = Watch(observe)

    def load_next(number: int, path: str | InMemory) -> ImageFile | Unread:
        with watch.timed("decode", "decode"):
            return load(path, bounds, partial(budget.reserve, number))

    pool = ThreadPoolExecutor(workers, "d2f-read")
    errors: list[Exception] = []
    numbered = enumerate(defer_errors(paths, errors))
    window: deque[Future[ImageFile | Unread]] = deque()
    try:
        for number, path in islice(numbered, 4 * workers + 4):
            window.append(pool.submit(load_next, number, path))
        while window:
            image = window.popleft().result()
            budget.release()
            window.extend(pool.submit(load_next, number, path) for number, path in islice(numbered, 1))
            yield image
        if errors:
            raise errors[0]
    finally:
        budget.close()
        pool.shutdown(wait=True, cancel_futures=True)


class BudgetClosed(BaseException):
    """The run has ended; no file is waited for any more."""


class MemoryBudget:
    """Bytes shared among files in order: the file that is next in order always gets what it asks for.

    So one file may exceed the limit, and readers never wait for each other in a circle.
    """

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._next = 0
        self._used: dict[int, int] = {}
        self._closed = False
        self._changed = threading.Condition()

    def reserve(self, number: int, size: int) -> None:
        """Wait until `size` bytes more are free for file `number`."""
        with self._changed:
            self._changed.wait_for(
                lambda: self._closed or number == self._next or sum(self._used.values()) + size <= self._limit
            )
            if self._closed:
                raise BudgetClosed
            self._used[number] = self._used.get(number, 0) + size

    def release(self) -> None:
        """Free the bytes of the file that is next in order, and go on to the one after it."""
        with self._changed:
            self._used.pop(self._next, None)
            self._next += 1
            self._changed.notify_all()

    def close(self) -> None:
        """Wake all waiters; each raises `BudgetClosed`."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
