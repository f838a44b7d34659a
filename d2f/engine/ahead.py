"""Files decoded ahead of the engine, in threads, in order, in bounded memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from itertools import islice

from d2f.api.inputs import ImageFile
from d2f.engine.cores import usable_cores
from d2f.engine.unbroken import until_broken
from d2f.engine.watch import Observe, Watch
from d2f.reading.bounds import Bounds
from d2f.reading.image import load_image
from d2f.reading.unread import Unread

BYTES_AHEAD = 256 * 2**20
"""Bytes of files and pixels that are decoded and not yet taken; one larger image is let through alone."""


def load_ahead(
    paths: Iterable[str],
    bounds: Bounds | None = None,
    workers: int | None = None,
    observe: Observe | None = None,
    held: int = BYTES_AHEAD,
) -> Iterator[ImageFile | Unread]:
    """Read and decode files while earlier ones are being worked on.

    Parameters
    ----------
    paths : iterable of str
        Taken lazily, in the caller's thread.
    bounds : Bounds, optional
    workers : int, optional
        Decoding threads; by default the cores that the process may use.
    observe : callable, optional
        Told of each file decoded.
    held : int
        Bytes of files and pixels that may wait to be taken.

    Yields
    ------
    ImageFile or Unread
        One for each path, in order. An exception that `paths` raises is raised again after them.
    """
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

    Parameters
    ----------
    limit : int
        Bytes.
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
