"""One stream for each core: MLX's CPU stream is one thread, and most of its operations use no other."""

from __future__ import annotations

import os
import sys
import threading
import time

import mlx.core as mx

from d2f.engine.cores import usable_cores

SWITCH = "D2F_LAYERS"
"""Environment variable; ``off`` makes the layers mlx.nn's own here too."""

SECONDS_KEPT = 1.0
"""For so long the number of cores stands: to read the quotas takes as long as a small convolution."""

_streams: list[mx.Stream] = []
_known = (-SECONDS_KEPT, 1)


def on_this_cpu() -> bool:
    """Say whether operations go to a CPU whose MLX kernels this room improves on, by MLX's default device."""
    return sys.platform == "linux" and mx.default_device() == mx.cpu and os.environ.get(SWITCH) != "off"


def streams() -> tuple[mx.Stream, ...]:
    """Return a CPU stream for each core that the process may use, the default one first.

    In another thread than the main one there is only its default stream: streams belong to the thread that
    made them, and a thread that ends before the process with streams of its own can abort the process's exit.
    """
    first = mx.default_stream(mx.cpu)
    if threading.current_thread() is not threading.main_thread():
        return (first,)
    more = _cores() - 1
    while len(_streams) < more:
        _streams.append(mx.new_stream(mx.cpu))
    return (first, *_streams[:more])


def _cores() -> int:
    global _known
    now = time.monotonic()
    if now - _known[0] >= SECONDS_KEPT:
        _known = (now, usable_cores())
    return _known[1]
