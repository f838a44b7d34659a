"""A stage called from several threads at once."""

from __future__ import annotations

import threading
from collections.abc import Callable

from d2f.testing.check import Failed
from d2f.testing.subject import Subject

THREADS = 4


def in_threads(work: Callable[[int], None], found: list[str], subject: Subject) -> None:
    """Call ``work(number)`` from four threads that start together; what one raises is added to `found`."""
    start = threading.Barrier(THREADS)

    def run(number: int) -> None:
        start.wait()
        try:
            work(number)
        except Failed as error:
            found.extend(error.found)
        except Exception as error:
            found.append(f"in thread {number}: it raised {subject.said(error)}")

    threads = [threading.Thread(target=run, args=(number,)) for number in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
