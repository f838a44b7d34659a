"""Processes that want the same file take turns."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def turn(path: Path, waiting: Callable[[], object]) -> Iterator[None]:
    """Hold the lock beside a file while this context is open; a process that ends gives it back, however it ends.

    Parameters
    ----------
    path : Path
        The lock's own file, which stays: to remove it would let two processes hold two files of one name.
    waiting : callable
        Called once if another process has the lock.
    """
    with path.open("ab") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            waiting()
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
