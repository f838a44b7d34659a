"""A batch cut into pieces that go through a network side by side, each on a stream of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import wraps
from typing import Any

import mlx.core as mx

from d2f.mlx_cpu.streams import on_this_cpu, streams


class Pieces:
    """Arrays of a batch, in order, each with the stream that it is computed on.

    Parameters
    ----------
    arrays : sequence of mlx.core.array, each of shape (n, height, width, channels)
    streams : sequence of mlx.core.Stream, optional
        By default the current one for all.
    """

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
