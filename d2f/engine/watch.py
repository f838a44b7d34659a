"""Observers told of stages that have finished, from whatever thread, one at a time."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from d2f.api.events import StageFinished

Observe = Callable[[StageFinished], None]

# One for the process: readers, workers and the judge of a run each have a watch, and share an observer.
_telling = threading.RLock()


class Watch:
    """Times stages and tells an observer; without one it does nothing.

    Parameters
    ----------
    observe : callable, optional
        Called under a lock. What it raises is dropped: an observer costs only itself.
    """

    def __init__(self, observe: Observe | None = None) -> None:
        self._observe = observe

    @contextmanager
    def timed(self, kind: str, name: str, view: str = "", images: int = 1) -> Iterator[None]:
        """Tell of what runs within this context, once it has ended."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.tell(StageFinished(kind, name, view, images, time.perf_counter() - begun))

    def tell(self, event: StageFinished) -> None:
        """Tell the observer."""
        if self._observe is not None:
            with _telling, suppress(Exception):
                self._observe(event)
