"""Minimal filtering: four neighbouring outputs of a three-tap filter from six products instead of twelve.

For taps w and inputs d the four outputs are ``A.T @ ((G @ w) * (B.T @ d))``. The matrices follow from
evaluating both as polynomials at six points, multiplying, and interpolating (Toom 1963, Cook 1966); Winograd
(1980, ISBN 0-89871-163-0) showed that six is the least, Lavin and Gray (2016, arXiv:1509.09308) brought it to
convolutional networks.

The points are 0, ±5/8, ±3/2 and infinity: of pairs of small fractions those with the least rounding error, in
two dimensions less than half of that of the customary ±1, ±2 (compare Barabasz et al. 2020,
doi:10.1145/3412380). Transforms are matrix products here, so that their constants cost nothing.
"""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType
from typing import Any, NamedTuple

import mlx.core as mx
import numpy as np

MODULE = "mlx.core"
_ours = False


class AfterImport:
    """A finder that finds nothing itself: it lets the others find MLX and acts once MLX is loaded."""

    def __init__(self) -> None:
        self._asking = False

    def find_spec(
        self, fullname: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """Return the others' answer for MLX, its loader told to call `speed_up`; None for all else."""
        if fullname != MODULE or self._asking:
            return None
        self._asking = True
        try:
            spec = find_spec(fullname)
        finally:
            self._asking = False
        if spec is not None and spec.loader is not None:
            self._follow(spec)
        return spec

    def _follow(self, spec: ModuleSpec) -> None:
        loader = spec.loader
        assert loader is not None
        execute = loader.exec_module

        def execute_then_speed_up(module: ModuleType) -> None:
            execute(module)
            del loader.exec_module
            uninstall()
            speed_up()

        # On this one loader object only; the class keeps its method.
        loader.exec_module = execute_then_speed_up  # type: ignore[method-assign]


def install() -> None:
    """Speed MLX up as soon as it is imported, or at once if it is already; harmless to call twice."""
    if MODULE in sys.modules:
        speed_up()
    elif not any(isinstance(finder, AfterImport) for finder in sys.meta_path):
        sys.meta_path.insert(0, AfterImport())  # Duck-typed: importlib.abc costs 7 ms.


def uninstall() -> None:
    """Stop waiting."""
    sys.meta_path[:] = [finder for finder in sys.meta_path if not isinstance(finder, AfterImport)]


def claim_process() -> None:
    """Say that d2f started this process, so that it may also set the process's allocator when MLX comes, or now."""
    global _ours
    _ours = True
    if MODULE in sys.modules:
        speed_up()


def speed_up() -> None:
    """Give the loaded MLX a real BLAS; what goes wrong there never stops the import."""
    from d2f.mlx_cpu.blas import take_up

    take_up()
    if _ours:
        keep_freed_memory()


ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112
TOLERANCE = 1e-5
ROWS, INNER, COLUMNS = 37, 53, 29  # Odd, so that the kernels' edges are met.


def wrong_functions(addresses: Mapping[str, int]) -> list[str]:
    """Return the names of the functions whose results are not numpy's."""
    checks: dict[str, Callable[[Mapping[str, int]], bool]] = {
        "cblas_sgemm": lambda at: _product_is_right(at["cblas_sgemm"], "float32"),
        "cblas_dgemm": lambda at: _product_is_right(at["cblas_dgemm"], "float64"),
        "sgetrf_": lambda at: _solution_is_right(at["sgetrf_"], at["sgetri_"], "float32"),
        "dgetrf_": lambda at: _solution_is_right(at["dgetrf_"], at["dgetri_"], "float64"),
    }
    return [name for name, check in checks.items() if name in addresses and not check(addresses)]


def _product_is_right(address: int, dtype: str) -> bool:
    number = ctypes.c_float if dtype == "float32" else ctypes.c_double
    whole, pointer = ctypes.c_int, ctypes.c_void_p
    function = ctypes.CFUNCTYPE(
        None, whole, whole, whole, whole, whole, whole, number, pointer, whole, pointer, whole, number, pointer, whole
    )(address)
    for flip_left, flip_right in ((False, False), (True, False), (False, True), (True, True)):
        left = _numbers((INNER, ROWS) if flip_left else (ROWS, INNER), dtype)
        right = _numbers((COLUMNS, INNER) if flip_right else (INNER, COLUMNS), dtype)
        out = _numbers((ROWS, COLUMNS), dtype)
        expected = 0.5 * (left.T if flip_left else left) @ (right.T if flip_right else right) + 2.0 * out
        orders = (TRANSPOSE if flip_left else NO_TRANSPOSE, TRANSPOSE if flip_right else NO_TRANSPOSE)
        operands = (0.5, left.ctypes.data, left.shape[1], right.ctypes.data, right.shape[1])
        function(ROW_MAJOR, *orders, ROWS, COLUMNS, INNER, *operands, 2.0, out.ctypes.data, COLUMNS)
        if not _close(out, expected):
            return False
    return True


def _solution_is_right(factorise_address: int, invert_address: int, dtype: str) -> bool:
    import numpy as np

    matrix = _numbers((ROWS, ROWS), dtype) + ROWS * np.eye(ROWS, dtype=dtype)
    right = _numbers((ROWS,), dtype)
    inverse, pivots, work = matrix.T.copy(), np.zeros(ROWS, np.int32), np.zeros(64 * ROWS, dtype)
    size, length, status = ctypes.c_int(ROWS), ctypes.c_int(work.size), ctypes.c_int(-1)
    factorise = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 6)(factorise_address)
    invert = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 7)(invert_address)
    at = ctypes.addressof
    factorise(at(size), at(size), inverse.ctypes.data, at(size), pivots.ctypes.data, at(status))
    if status.value != 0:
        return False
    invert(at(size), inverse.ctypes.data, at(size), pivots.ctypes.data, work.ctypes.data, at(length), at(status))
    return status.value == 0 and _close(inverse.T @ right, np.linalg.solve(matrix, right))


def _numbers(shape: tuple[int, ...], dtype: str) -> Any:
    """Return numbers in [-1, 1] without a pattern; numpy.random would cost more to import than all the rest."""
    import numpy as np

    count = int(np.prod(shape))
    return np.sin(np.arange(1, count + 1, dtype=np.float64) ** 2).astype(dtype).reshape(shape)


def _close(found: Any, expected: Any) -> bool:
    import numpy as np

    return bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())


SWITCH = "D2F_MALLOC"
"""Environment variable; ``off`` leaves the allocator as it is."""

M_TRIM_THRESHOLD, M_TOP_PAD, M_MMAP_THRESHOLD = -1, -2, -3
LARGEST = 2**31 - 1
SETTINGS = ((M_MMAP_THRESHOLD, (LARGEST, 32 * 2**20)), (M_TRIM_THRESHOLD, (LARGEST,)), (M_TOP_PAD, (64 * 2**20,)))
"""What is set, to the first value that is accepted: older glibc takes no more than 32 MiB for the first."""


@dataclass(frozen=True)
class Allocator:
    """What was done to the process's allocator, and why."""

    keeps_memory: bool
    reason: str


_state = Allocator(False, "this process was not started by d2f")


def in_force() -> Allocator:
    """Return what `keep_freed_memory` has done so far."""
    return _state


def keep_freed_memory() -> Allocator:
    """Set glibc's malloc to keep what is freed.

    For processes that d2f starts itself (its command line and its workers): the setting is the whole
    process's, so that a library has no business making it. It holds for memory allocated afterwards.
    """
    global _state
    _state = _keep_freed_memory()
    return _state


def _keep_freed_memory() -> Allocator:
    if os.environ.get(SWITCH, "").lower() == "off":
        return Allocator(False, f"{SWITCH}=off")
    if platform.libc_ver()[0] != "glibc":
        return Allocator(False, "this system's allocator is not glibc's")
    library = ctypes.CDLL(None)
    done = [
        any(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for value in values)
        for name, values in SETTINGS
    ]
    return Allocator(all(done), "glibc keeps what is freed" if all(done) else "glibc refused the settings")


TAPS, OUTPUTS, POINTS = 3, 4, 6
FINITE_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)


class Transforms(NamedTuple):
    """Transforms of one axis, or of two at once as Kronecker products."""

    inputs: mx.array
    taps: mx.array
    outputs: mx.array
    taps_back: mx.array
    outputs_back: mx.array


@cache
def one_axis() -> Transforms:
    """Return the transforms for six points, three taps and four outputs, float32."""
    return _transforms(*matrices())


@cache
def two_axes() -> Transforms:
    """Return the transforms for 36 points, nine taps and sixteen outputs, float32."""
    return _transforms(*(np.kron(matrix, matrix) for matrix in matrices()))


def matrices() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return B.T (6, 6), G (6, 3) and A.T (4, 6), float64.

    Row i of B.T holds, for a finite point, the coefficients of the product of (x - point) over the other
    finite points; of G, the powers of the point over that product at the point; column i of A.T its powers.
    """
    inputs, taps, outputs = np.zeros((POINTS, POINTS)), np.zeros((POINTS, TAPS)), np.zeros((OUTPUTS, POINTS))
    for row, point in enumerate(FINITE_POINTS):
        others = [other for other in FINITE_POINTS if other != point]
        inputs[row, : POINTS - 1] = np.poly(others)[::-1]
        taps[row] = point ** np.arange(TAPS) / np.prod([point - other for other in others])
        outputs[:, row] = point ** np.arange(OUTPUTS)
    inputs[-1] = np.poly(FINITE_POINTS)[::-1]
    taps[-1, -1] = outputs[-1, -1] = 1.0
    return inputs, taps, outputs


def _transforms(inputs: np.ndarray, taps: np.ndarray, outputs: np.ndarray) -> Transforms:
    return Transforms(*map(_array, (inputs, taps, outputs, taps.T, outputs.T)))


def _array(matrix: np.ndarray) -> mx.array:
    return mx.array(np.ascontiguousarray(matrix, np.float32))
