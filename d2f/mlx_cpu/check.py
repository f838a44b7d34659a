"""BLAS and LAPACK functions called as MLX calls them, against numpy.

They are called by address and without MLX: an MLX evaluation would start its stream's thread, and a process
that forks afterwards (multiprocessing on Linux) would have children in which MLX waits forever.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Mapping
from typing import Any

ROW_MAJOR, NO_TRANSPOSE, TRANSPOSE = 101, 111, 112
TOLERANCE = 1e-5
ROWS, INNER, COLUMNS = 37, 53, 29  # Odd, so that the kernels' edges are met.


def wrong_functions(addresses: Mapping[str, int]) -> list[str]:
    """Return the names of the functions whose results are not numpy's.

    Parameters
    ----------
    addresses : mapping of name to address
        Such as ``cblas_sgemm``; those that have no check here are not looked at.
    """
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
