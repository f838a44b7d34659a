"""Ctrl-C and SIGTERM end a run between two rows."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Interruption:
    """While it is entered, a first signal raises KeyboardInterrupt, and a second ends the process at once.

    Signals that the process was told to ignore (``nohup``, a shell's background job) stay ignored.

    Attributes
    ----------
    signal : int
        The signal that came; 0 while none has.
    """

    def __init__(self) -> None:
        self.signal = 0
        self._writing = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Interruption:
        if threading.current_thread() is threading.main_thread():
            heeded = [number for number in SIGNALS if signal.getsignal(number) != signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._asked) for number in heeded}
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @property
    def exit_code(self) -> int:
        """128 and the signal's number, as shells have it: 130 for Ctrl-C, 143 for SIGTERM."""
        return 128 + (self.signal or signal.SIGINT)

    @contextmanager
    def afterwards(self) -> Iterator[None]:
        """Hold the interruption back until the block is through, so that a row is written whole."""
        self._writing = True
        try:
            yield
        finally:
            self._writing = False
        if self.signal:
            raise KeyboardInterrupt

    def _asked(self, number: int, _frame: FrameType | None) -> None:
        if self.signal:
            os._exit(128 + number)
        self.signal = number
        if not self._writing:
            raise KeyboardInterrupt
