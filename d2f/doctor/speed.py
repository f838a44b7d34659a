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
SLOW_GFLOPS = 15.0
"""A product slower than this is a reference BLAS: a real one gives 50 or more on one core."""


def speed() -> Iterator[Finding]:
    """Yield the GFLOP/s of a matrix product and of a convolution on MLX's default device."""
    import mlx.core as mx

    from d2f.layers import Conv2d

    a, b = mx.random.normal((SIDE, SIDE)), mx.random.normal((SIDE, SIDE))
    product = 2 * SIDE**3 / _median_seconds(lambda: a @ b) / 1e9
    slow = product < SLOW_GFLOPS
    remedy = "see BLAS above; a busy machine is slow too" if slow else ""
    what = f"{product:.0f} GFLOP/s ({SIDE} x {SIDE}, float32)"
    yield Finding("mlx", "product", what, "warning" if slow else "fine", remedy)
    layer, maps = Conv2d(CHANNELS, CHANNELS, 3, padding=1), mx.random.normal((IMAGES, MAP, MAP, CHANNELS))
    operations = 2 * IMAGES * MAP * MAP * CHANNELS * CHANNELS * 9
    convolution = operations / _median_seconds(lambda: layer(maps)) / 1e9
    yield Finding("mlx", "convolution", f"{convolution:.0f} GFLOP/s (3x3, {CHANNELS} channels, {MAP} x {MAP})")


def _median_seconds(compute: Callable[[], Any]) -> float:
    import mlx.core as mx

    mx.eval(compute())
    taken: list[float] = []
    while sum(taken) < SECONDS or len(taken) < 3:
        start = time.perf_counter()
        mx.eval(compute())
        taken.append(time.perf_counter() - start)
    return sorted(taken)[len(taken) // 2]
