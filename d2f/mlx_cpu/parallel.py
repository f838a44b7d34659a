"""A network run over a batch on all cores, a few images at a time."""

from __future__ import annotations

from collections.abc import Callable

import mlx.core as mx

from d2f.mlx_cpu.streams import on_this_cpu, streams

IMAGES = 16
"""Images at most that go through the network together on one core: more are no faster, and take more memory."""


def parallel(network: Callable[[mx.array], mx.array], x: mx.array, images: int = IMAGES) -> mx.array:
    """Return what a network makes of a batch, evaluated; on a CPU, on all cores that the process may use.

    Parameters
    ----------
    network : callable
        Of an array (n, …) to an array (n, …), each image for itself, as a network in evaluation mode is.
    x : mlx.core.array, shape (n, …)
    images : int
        How many a core takes at a time, at most.

    Returns
    -------
    mlx.core.array, shape (n, …)
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
