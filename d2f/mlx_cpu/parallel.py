"""A batch cut into pieces that go through a network side by side, each on a stream of its own."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import mlx.core as mx

from d2f.cores import usable_cores

SWITCH = "D2F_LAYERS"
"""Environment variable; ``off`` makes the layers mlx.nn's own here too."""

SECONDS_KEPT = 1.0
"""For so long the number of cores stands: to read the quotas takes as long as a small convolution."""

_streams: list[mx.Stream] = []
_known = (-SECONDS_KEPT, 1)


def on_this_cpu() -> bool:
    """Say whether operations go to a CPU whose MLX kernels this package improves on, by MLX's default device."""
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


IMAGES = 16
"""Images at most that go through the network together on one core: more are no faster, and take more memory."""


def parallel(network: Callable[[mx.array], mx.array], x: mx.array, images: int = IMAGES) -> mx.array:
    """Return what a network makes of a batch, evaluated; on a CPU, on all cores that the process may use.

    `x` mlx.core.array, shape (n, …); returns mlx.core.array, shape (n, …).
    """
    if not on_this_cpu() or x.shape[0] == 0:
        whole = network(x)
        mx.eval(whole)
        return whole
    lanes = streams()
    parts = _parts(x, len(lanes), images)
    results: list[mx.array] = []
    for first in range(0, len(parts), len(lanes)):
        turn = []
        for stream, part in zip(lanes, parts[first:], strict=False):
            with mx.stream(stream):
                turn.append(network(part))
        # Turn by turn: evaluated all at once, their intermediate results would be in memory together.
        mx.async_eval(turn)
        results += turn
    result = mx.concatenate(results, axis=0) if len(results) > 1 else results[0]
    mx.eval(result)
    return result


def _parts(x: mx.array, lanes: int, images: int) -> list[mx.array]:
    """Cut a batch into parts of nearly equal size, as many for each lane."""
    count, turns = x.shape[0], -(-x.shape[0] // (images * lanes))
    parts = min(count, turns * lanes)
    return mx.split(x, [count * k // parts for k in range(1, parts)], axis=0)


class Pieces:
    """Arrays of a batch, in order, each with the stream that it is computed on."""

    def __init__(self, arrays: Sequence[mx.array], streams: Sequence[mx.Stream] | None = None) -> None:
        self.arrays = tuple(arrays)
        self.streams = streams or [mx.default_stream(mx.default_device())] * len(self.arrays)

    def map(self, function: Callable[..., mx.array], *others: Pieces) -> Pieces:
        """Return what a function makes of each piece (and of the same piece of others)."""
        made = []
        for stream, *piece in zip(self.streams, self.arrays, *(other.arrays for other in others), strict=True):
            with mx.stream(stream):
                made.append(function(*piece))
        return Pieces(made, self.streams)

    def with_arrays(self, arrays: Sequence[mx.array]) -> Pieces:
        """Return other arrays on the same streams."""
        return Pieces(arrays, self.streams)

    def __add__(self, other: Pieces) -> Pieces:
        return self.map(lambda one, another: one + another, other)


def split(x: mx.array) -> mx.array | Pieces:
    """Cut a batch into as many pieces as there are streams to compute them; x itself where one is enough.

    Layers of `d2f.layers` take pieces for arrays, and batch norm looks at all of them, so that the network's
    values and gradients are those of the whole batch.
    """
    available = streams()[: x.shape[0]] if on_this_cpu() else ()
    if len(available) < 2:
        return x
    cuts = [x.shape[0] * k // len(available) for k in range(1, len(available))]
    return Pieces(mx.split(x, cuts, axis=0), available)


def join(x: mx.array | Pieces) -> mx.array:
    """Put pieces together to one array again."""
    return mx.concatenate(list(x.arrays), axis=0) if isinstance(x, Pieces) else x


def piecewise(call: Callable[[Any, mx.array], mx.array]) -> Callable[[Any, Any], Any]:
    """Let a layer's call take pieces, each for itself."""

    @wraps(call)
    def each(self: Any, x: mx.array | Pieces) -> mx.array | Pieces:
        return x.map(lambda piece: call(self, piece)) if isinstance(x, Pieces) else call(self, x)

    return each
