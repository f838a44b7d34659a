"""How fast MLX is here: one matrix product and one convolution, in a second or two."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from d2f.doctor.finding import Finding

SIDE = 1024
"""Side of the square matrices, float32."""
IMAGES, MAP, CHANNELS = 4, 56, 64
"""The convolution: 3x3, stride 1, CHANNELS to CHANNELS, on IMAGES maps of MAP x MAP."""
SECONDS = 0.4
"""Each is repeated for about this long; the median counts."""
TOLERANCE = 1e-4
"""Of the largest number: what a result may differ from the reference's."""
SLOW_GFLOPS = 15.0
"""A product slower than this is a reference BLAS: a real one gives 50 or more on one core."""


def speed() -> Iterator[Finding]:
    """Yield the GFLOP/s of a matrix product and of a convolution on MLX's default device; an error if one is wrong."""
    import mlx.core as mx
    import numpy as np

    from d2f.layers import Conv2d

    a, b = mx.random.normal((SIDE, SIDE)), mx.random.normal((SIDE, SIDE))
    product = 2 * SIDE**3 / _median_seconds(lambda: a @ b) / 1e9
    slow = product < SLOW_GFLOPS
    remedy = "see BLAS above; a busy machine is slow too" if slow else ""
    what = f"{product:.0f} GFLOP/s ({SIDE} x {SIDE}, float32)"
    timed = Finding("mlx", "product", what, "warning" if slow else "fine", remedy)
    yield _checked(timed, a @ b, np.array(a, dtype=float) @ np.array(b, dtype=float))
    layer, maps = Conv2d(CHANNELS, CHANNELS, 3, padding=1, bias=False), mx.random.normal((IMAGES, MAP, MAP, CHANNELS))
    operations = 2 * IMAGES * MAP * MAP * CHANNELS * CHANNELS * 9
    convolution = operations / _median_seconds(lambda: layer(maps)) / 1e9
    timed = Finding("mlx", "convolution", f"{convolution:.0f} GFLOP/s (3x3, {CHANNELS} channels, {MAP} x {MAP})")
    yield _checked(timed, layer(maps), np.array(mx.conv2d(maps, layer.weight, padding=1)))


def _checked(timed: Finding, found: Any, expected: Any) -> Finding:
    """Return the finding, or an error in its place where the result is wrong."""
    import numpy as np

    if np.abs(np.array(found) - expected).max() <= TOLERANCE * np.abs(expected).max():
        return timed
    remedy = "D2F_BLAS=off and D2F_LAYERS=off leave MLX as it comes; please report this machine"
    return Finding("mlx", timed.name, f"WRONG, at {timed.value}", "error", remedy)


def _median_seconds(compute: Callable[[], Any]) -> float:
    import mlx.core as mx

    mx.eval(compute())
    taken: list[float] = []
    while sum(taken) < SECONDS or len(taken) < 3:
        start = time.perf_counter()
        mx.eval(compute())
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]
