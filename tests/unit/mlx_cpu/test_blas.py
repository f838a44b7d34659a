"""MLX calls OpenBLAS, by import slots that are found, written and taken back."""

from __future__ import annotations

import ctypes
import mmap
import os
import sys

import mlx.core as mx
import numpy as np
import pytest

from tests.unit.mlx_cpu.processes import printed, run_python

# The BLAS in force is right, can be switched off, and is missed with one warning.


ON_LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only the Linux wheel of MLX is slow")


STATE = (
    "from d2f.mlx_cpu import blas; import json; state = blas.in_force(); print(json.dumps([state.name, state.slow]))"
)


@ON_LINUX
def test_openblas_works_on_one_thread_and_leaves_the_environment_alone() -> None:
    code = """
import d2f, json, os, mlx.core
from d2f.mlx_cpu.blas import OpenBLAS
from d2f.mlx_cpu.blas import in_force
print(json.dumps([OpenBLAS().threads, in_force().name.split()[0], "OPENBLAS_NUM_THREADS" in os.environ]))
"""
    assert printed(code) == [1, "OpenBLAS", "OPENBLAS_NUM_THREADS" in os.environ]


@ON_LINUX
def test_off_means_mlx_own_blas_without_a_warning() -> None:
    done = run_python(f"import d2f, mlx.core; {STATE}", D2F_BLAS="off")
    assert done.stdout.strip() == '["MLX\'s own", false]'
    assert done.stderr == ""


@ON_LINUX
@pytest.mark.parametrize(
    ("breakage", "reason", "remedy"),
    [
        (
            "blas._library_file = lambda: (_ for _ in ()).throw(OSError('it is not installed'))",
            "it is not installed",
            "pip install scipy-openblas32",
        ),
        (
            "blas.wrong_functions = lambda known: ['cblas_sgemm']",
            "cblas_sgemm of scipy-openblas32 differ from numpy",
            "OPENBLAS_CORETYPE=",
        ),
        ("blas.point_slots = lambda t: (_ for _ in ()).throw(OSError(13, 'denied'))", "denied", "D2F_BLAS=off"),
    ],
)
def test_what_goes_wrong_costs_one_warning_and_mlx_works(breakage: str, reason: str, remedy: str) -> None:
    code = (
        f"import d2f; from d2f.mlx_cpu import blas; {breakage}; import mlx.core as mx; "
        f"blas.take_up(); assert (mx.ones((2, 3)) @ mx.ones((3, 2))).sum().item() == 12; {STATE}"
    )
    done = run_python(code)
    assert done.stdout.strip() == '["MLX\'s own", true]'
    assert done.stderr.count("RuntimeWarning") == 1
    assert reason in done.stderr
    assert remedy in done.stderr


@ON_LINUX
def test_a_blas_loaded_for_the_whole_process_is_left_in_force() -> None:
    code = (
        "import ctypes, d2f; from d2f.mlx_cpu import blas; blas._preloaded = lambda: 'MKL'; import mlx.core; " + STATE
    )
    assert printed(code) == ["MKL", False]


def test_a_wrong_function_is_noticed() -> None:
    import ctypes

    from d2f.mlx_cpu.blas import wrong_functions

    kinds = [*[ctypes.c_int] * 6, ctypes.c_float, ctypes.c_void_p, ctypes.c_int, ctypes.c_void_p, ctypes.c_int]
    kinds += [ctypes.c_float, ctypes.c_void_p, ctypes.c_int]
    idle = ctypes.CFUNCTYPE(None, *kinds)(lambda *arguments: None)
    address = ctypes.cast(idle, ctypes.c_void_p).value
    assert address is not None
    assert wrong_functions({"cblas_sgemm": address, "unknown_": 0}) == ["cblas_sgemm"]


@pytest.mark.parametrize("shape", [(1, 1, 1), (3, 5, 7), (64, 64, 64), (129, 257, 65)])
@pytest.mark.parametrize("flips", [(False, False), (True, False), (False, True), (True, True)])
def test_products_are_numpys(shape: tuple[int, int, int], flips: tuple[bool, bool]) -> None:
    random = np.random.default_rng(0)
    rows, inner, columns = shape
    left = random.standard_normal((inner, rows) if flips[0] else (rows, inner)).astype(np.float32)
    right = random.standard_normal((columns, inner) if flips[1] else (inner, columns)).astype(np.float32)
    added = random.standard_normal((rows, columns)).astype(np.float32)
    a, b = (mx.array(m).T if flip else mx.array(m) for m, flip in zip((left, right), flips, strict=True))
    expected = (left.T if flips[0] else left).astype(float) @ (right.T if flips[1] else right) + 2 * added
    np.testing.assert_allclose(np.array(mx.addmm(mx.array(added), a, b, beta=2.0)), expected, atol=1e-4)


def test_linear_algebra_is_numpys() -> None:
    random = np.random.default_rng(1)
    square = random.standard_normal((9, 9)).astype(np.float32) + 9 * np.eye(9, dtype=np.float32)
    tall = random.standard_normal((11, 6)).astype(np.float32)
    definite = square @ square.T
    on_cpu = {"stream": mx.cpu}
    near = {"rtol": 1e-4, "atol": 1e-4}
    q, r = mx.linalg.qr(mx.array(tall), **on_cpu)
    np.testing.assert_allclose(np.array(q) @ np.array(r), tall, **near)
    u, s, vt = mx.linalg.svd(mx.array(tall), **on_cpu)
    np.testing.assert_allclose(np.array(u)[:, :6] @ np.diag(np.array(s)) @ np.array(vt), tall, **near)
    np.testing.assert_allclose(np.array(mx.linalg.inv(mx.array(square), **on_cpu)), np.linalg.inv(square), **near)
    np.testing.assert_allclose(
        np.array(mx.linalg.solve(mx.array(square), mx.array(tall[:9]), **on_cpu)),
        np.linalg.solve(square, tall[:9]),
        **near,
    )
    factor = np.array(mx.linalg.cholesky(mx.array(definite), **on_cpu))
    np.testing.assert_allclose(factor @ factor.T, definite, rtol=1e-4, atol=1e-2)
    np.testing.assert_allclose(
        np.array(mx.linalg.eigvalsh(mx.array(definite), **on_cpu)), np.linalg.eigvalsh(definite), rtol=1e-4, atol=1e-2
    )
    eigenvalues = np.array(mx.linalg.eigvals(mx.array(square), **on_cpu))
    np.testing.assert_allclose(sorted(eigenvalues.real), sorted(np.linalg.eigvals(square).real), **near)


# Import slots are found by name, written, and taken back with the pages' protection as it was.


pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="ELF is Linux's")


def test_slots_of_mlx_hold_openblas_and_then_again_what_they_held() -> None:
    code = """
import json, os, platform
import mlx.core
from d2f.mlx_cpu import blas
from d2f.mlx_cpu.blas import OpenBLAS
from d2f.mlx_cpu.blas import MAPPINGS, read_slot
del os.environ["D2F_BLAS"]
blas._state = None
rights = lambda: [line.split()[:2] for line in MAPPINGS.read_text().splitlines() if "libmlx" in line]
library = blas.loaded_library("libmlx.so")
slots = blas.import_slots(library, platform.machine())["cblas_sgemm"]
rights_before, before = rights(), [read_slot(slot) for slot in slots]
blas.take_up()
now = [read_slot(slot) for slot in slots]
same_rights = rights() == rights_before
blas.undo()
print(json.dumps([
    len(slots) >= 1, now == [OpenBLAS().address("cblas_sgemm")] * len(slots), same_rights,
    [read_slot(slot) for slot in slots] == before, rights() == rights_before, blas.in_force().name,
]))
"""
    assert printed(code, D2F_BLAS="off") == [True, True, True, True, True, "MLX's own"]


def test_mlx_says_that_it_needs_the_reference_blas() -> None:
    code = """
import json, mlx.core
from d2f.mlx_cpu import blas
print(json.dumps(sorted(name.split("-")[0] for name in blas.needed(blas.loaded_library("libmlx.so")))))
"""
    assert {"libblas", "liblapack", "libc.so.6"} <= set(printed(code))


def test_a_library_that_is_not_loaded_is_not_found() -> None:
    from d2f.mlx_cpu.blas import loaded_library

    assert loaded_library("libnothing-of-this-name.so") is None


def test_a_read_only_page_is_written_and_locked_again_and_a_writable_one_stays_so() -> None:
    from d2f.mlx_cpu.blas import MAPPINGS, point_slots, read_slot

    # The second page is writable: it begins a span of /proc/self/maps, as the first is read-only.
    page = mmap.mmap(-1, 2 * mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    process = ctypes.CDLL(None)
    assert process.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 1) == 0

    def rights(address: int = address) -> str:
        lines = (line.split()[:2] for line in MAPPINGS.read_text().splitlines())
        spans = ((*(int(end, 16) for end in span.split("-")), rights) for span, rights in lines)
        return next(rights for start, end, rights in spans if start <= address < end)

    assert rights().startswith("r--")
    second = address + mmap.PAGESIZE
    before = point_slots({address + 8: 1234, address + 24: 5678, second: 9})
    assert before == {address + 8: 0, address + 24: 0, second: 0}
    assert [read_slot(address + offset) for offset in (0, 8, 16, 24)] == [0, 1234, 0, 5678]
    assert rights().startswith("r--")
    assert rights(second).startswith("rw-")
    assert process.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 3) == 0
