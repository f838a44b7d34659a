"""A disk without room: the system lets no file grow beyond a bound (RLIMIT_FSIZE), so that writing really fails."""

from __future__ import annotations

import resource
from collections.abc import Iterator
from contextlib import contextmanager

UNLIMITED = resource.getrlimit(resource.RLIMIT_FSIZE)


def fill(size: int = 100) -> None:
    """Let no file of this process grow beyond `size` bytes, until `make_room` is called."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, UNLIMITED[1]))


def make_room() -> None:
    """Let files grow again."""
    resource.setrlimit(resource.RLIMIT_FSIZE, UNLIMITED)


@contextmanager
def full_disk(size: int = 100) -> Iterator[None]:
    """Let no file grow beyond `size` bytes in the block."""
    fill(size)
    try:
        yield
    finally:
        make_room()
