"""The inputs of a case, drawn from its name alone, so that every process has the same."""

from __future__ import annotations

from zlib import crc32

import numpy as np

from tests.benchmarks.speed.cases import Case


def draw(name: str, shape: tuple[int, ...], deviation: float = 1.0) -> np.ndarray:
    """Return normal numbers, float32, that depend on the name and the shape."""
    return (deviation * np.random.default_rng(crc32(name.encode())).standard_normal(shape)).astype(np.float32)


def pictures(case: Case) -> np.ndarray:
    """Return the input of a network, (n, size, size, 3) in [0, 1]."""
    size = case.what[2]
    return np.random.default_rng(0).random((case.batch, size, size, 3), np.float32)


def map_and_weight(shape: tuple[int, ...], batch: int) -> tuple[np.ndarray, np.ndarray]:
    """Return a convolution's input (n, size, size, in) and weights (out, kernel, kernel, in)."""
    size, into, out, kernel, *_ = shape
    return draw("map", (batch, size, size, into)), draw("weight", (out, kernel, kernel, into), 0.1)


def sample(*arrays: np.ndarray, count: int = 200) -> list[float]:
    """Return numbers spread over some arrays, by which results are compared."""
    flat = [array.ravel()[:: max(1, array.size // count)] for array in arrays]
    return [float(value) for value in np.concatenate(flat)]
