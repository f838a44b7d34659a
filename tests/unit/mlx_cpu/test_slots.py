"""Import slots are found by name, written, and taken back with the pages' protection as it was."""

from __future__ import annotations

import ctypes
import mmap
import sys

import pytest

from tests.unit.mlx_cpu.processes import printed

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


def test_a_read_only_page_is_written_and_locked_again() -> None:
    from d2f.mlx_cpu.blas import MAPPINGS, point_slots, read_slot

    page = mmap.mmap(-1, mmap.PAGESIZE)
    address = ctypes.addressof(ctypes.c_char.from_buffer(page))
    process = ctypes.CDLL(None)
    assert process.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 1) == 0

    def rights() -> str:
        lines = (line.split()[:2] for line in MAPPINGS.read_text().splitlines())
        spans = ((*(int(end, 16) for end in span.split("-")), rights) for span, rights in lines)
        return next(rights for start, end, rights in spans if start <= address < end)

    assert rights().startswith("r--")
    before = point_slots({address + 8: 1234, address + 24: 5678})
    assert before == {address + 8: 0, address + 24: 0}
    assert [read_slot(address + offset) for offset in (0, 8, 16, 24)] == [0, 1234, 0, 5678]
    assert rights().startswith("r--")
    assert process.mprotect(ctypes.c_void_p(address), ctypes.c_size_t(mmap.PAGESIZE), 3) == 0
