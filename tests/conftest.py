"""What holds for every test."""

from __future__ import annotations

import gc
import signal


def pytest_configure() -> None:
    """Hear Ctrl-C, also where the shell that started the run had told it not to (a job in the background)."""
    if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_finish() -> None:
    """Leave what was imported and collected out of garbage collection: each full one walks over all of it again."""
    gc.collect()
    gc.freeze()
