"""How fast each stage of a bench was."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from d2f.api.events import StageFinished

ORDER = ("decode", "protocol", "attack", "preprocessor", "detector")


class Speed:
    """Adds up the events of a run.

    Seconds are the sum over threads, so that images/s is the rate of one thread at that stage alone.
    """

    def __init__(self) -> None:
        self._images: dict[tuple[str, str, str], int] = defaultdict(int)
        self._seconds: dict[tuple[str, str, str], float] = defaultdict(float)
        self.wall = 0.0

    def observe(self, event: StageFinished) -> None:
        """Take one event."""
        key = (event.kind, event.name, event.view)
        self._images[key] += event.images
        self._seconds[key] += event.seconds

    @contextmanager
    def running(self) -> Iterator[None]:
        """Measure the wall time of what runs in this context."""
        begun = time.perf_counter()
        try:
            yield
        finally:
            self.wall += time.perf_counter() - begun

    def stages(self) -> list[dict[str, Any]]:
        """Return each stage: kind, name, view, images, seconds, images_per_second."""
        keys = sorted(self._images, key=lambda key: (ORDER.index(key[0]) if key[0] in ORDER else len(ORDER), key))
        return [
            {
                "kind": kind,
                "name": name,
                "view": view,
                "images": self._images[kind, name, view],
                "seconds": round(self._seconds[kind, name, view], 3),
                "images_per_second": round(rate(self._images[kind, name, view], self._seconds[kind, name, view]), 1),
            }
            for kind, name, view in keys
        ]


def rate(images: int, seconds: float) -> float:
    """Return images a second; 0 where nothing was timed."""
    return images / seconds if seconds > 0 else 0.0
