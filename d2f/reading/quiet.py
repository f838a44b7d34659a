"""Pillow's own warnings, kept off a reader's screen without changing the process's settings for good."""

from __future__ import annotations

import logging
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

# A logger without any handler writes errors to the screen.
logging.getLogger("PIL").addHandler(logging.NullHandler())

# warnings.catch_warnings swaps the whole list of filters and is not safe in threads: two that overlap
# can leave the wrong list behind. One entry, put in by the first reader and taken out by the last, is.
_lock = threading.Lock()
_readers = 0
_MODULES = r"(PIL|pillow_heif)(\.|$)"


@contextmanager
def quiet_pillow() -> Iterator[None]:
    """Ignore warnings raised inside Pillow while any thread is within this context.

    What they say (sizes, damaged metadata) is said again by d2f's own bounds and errors.
    """
    global _readers
    with _lock:
        _readers += 1
        if _readers == 1:
            warnings.filterwarnings("ignore", module=_MODULES)
    try:
        yield
    finally:
        with _lock:
            _readers -= 1
            if _readers == 0:
                _forget()


def _forget() -> None:
    for entry in list(warnings.filters):
        module = entry[3]
        if getattr(module, "pattern", module) == _MODULES:
            warnings.filters.remove(entry)  # type: ignore[attr-defined]
