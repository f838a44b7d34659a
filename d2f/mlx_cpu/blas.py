"""MLX's calls of its slow reference BLAS pointed at OpenBLAS, through the import slots of its library (ELF).

OpenBLAS is compared with numpy first; whatever goes wrong, MLX works with its own.
"""

from __future__ import annotations

import ctypes
import os
import platform
import re
import struct
import sys
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

PT_DYNAMIC = 2
DT_NULL, DT_NEEDED, DT_PLTRELSZ, DT_STRTAB, DT_SYMTAB, DT_RELA, DT_RELASZ, DT_JMPREL = 0, 1, 2, 5, 6, 7, 8, 23
SLOT_RELOCATIONS: Mapping[str, tuple[int, int]] = {"x86_64": (6, 7), "aarch64": (1025, 1026)}
"""Relocation types GLOB_DAT and JUMP_SLOT by machine."""

RELOCATION = struct.Struct("<QQq")
SYMBOL_BYTES = 24


@dataclass(frozen=True)
class Library:
    """A shared library in this process."""

    path: str
    base: int
    dynamic: int


class _ProgramHeader(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("flags", ctypes.c_uint32),
        ("offset", ctypes.c_uint64),
        ("address", ctypes.c_uint64),
        ("physical", ctypes.c_uint64),
        ("file_size", ctypes.c_uint64),
        ("memory_size", ctypes.c_uint64),
        ("alignment", ctypes.c_uint64),
    )


class _LoadedObject(ctypes.Structure):
    _fields_ = (
        ("base", ctypes.c_uint64),
        ("name", ctypes.c_char_p),
        ("headers", ctypes.POINTER(_ProgramHeader)),
        ("header_count", ctypes.c_uint16),
    )


def loaded_library(file_name: str) -> Library | None:
    """Return the library of this file name if the process has loaded it."""
    found: list[Library] = []

    def look(entry: ctypes._Pointer[_LoadedObject], _size: int, _data: int) -> int:
        path = os.fsdecode(entry.contents.name or b"")
        if os.path.basename(path) != file_name:
            return 0
        headers = entry.contents.headers[: entry.contents.header_count]
        base = entry.contents.base
        found.extend(Library(path, base, base + h.address) for h in headers if h.type == PT_DYNAMIC)
        return 1

    callback = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.POINTER(_LoadedObject), ctypes.c_size_t, ctypes.c_void_p)
    ctypes.CDLL(None).dl_iterate_phdr(callback(look), None)
    return found[0] if found else None


def needed(library: Library) -> tuple[str, ...]:
    """Return the file names of the libraries that this one asks for."""
    tags = _tags(library)
    return tuple(_string_at(library, tags, offset) for offset in tags[DT_NEEDED])


def import_slots(library: Library, machine: str) -> dict[str, tuple[int, ...]]:
    """Return the addresses of the slots of each imported function, by the function's name."""
    tags = _tags(library)
    symbols = _address(library, tags[DT_SYMTAB][0])
    slots: dict[str, tuple[int, ...]] = defaultdict(tuple)
    for offset, information, _addend in _relocations(library, tags):
        if information & 0xFFFFFFFF not in SLOT_RELOCATIONS[machine]:
            continue
        symbol = symbols + SYMBOL_BYTES * (information >> 32)
        name = _string_at(library, tags, ctypes.c_uint32.from_address(symbol).value)
        slots[name] += (library.base + offset,)
    return dict(slots)


def _tags(library: Library) -> dict[int, list[int]]:
    tags: dict[int, list[int]] = defaultdict(list)
    address = library.dynamic
    while (tag := ctypes.c_int64.from_address(address).value) != DT_NULL:
        tags[tag].append(ctypes.c_uint64.from_address(address + 8).value)
        address += 16
    return tags


def _address(library: Library, value: int) -> int:
    # glibc has made these absolute, musl has not.
    return value if value >= library.base else library.base + value


def _string_at(library: Library, tags: Mapping[int, list[int]], offset: int) -> str:
    return ctypes.string_at(_address(library, tags[DT_STRTAB][0]) + offset).decode()


def _relocations(library: Library, tags: Mapping[int, list[int]]) -> Iterator[tuple[int, int, int]]:
    for table, size in ((DT_JMPREL, DT_PLTRELSZ), (DT_RELA, DT_RELASZ)):
        if tags.get(table) and tags.get(size):
            raw = ctypes.string_at(_address(library, tags[table][0]), tags[size][0])
            yield from RELOCATION.iter_unpack(raw)


PROT_READ, PROT_WRITE = 1, 2
MAPPINGS = Path("/proc/self/maps")


def point_slots(targets: Mapping[int, int]) -> dict[int, int]:
    """Write an address into each slot and return what was there, so that the same call undoes it."""
    pages = _locked_pages(targets)
    try:
        _protect(pages, PROT_READ | PROT_WRITE)
        before = {slot: read_slot(slot) for slot in targets}
        for slot, target in targets.items():
            # Eight aligned bytes: another thread sees the old address or the new one.
            ctypes.c_uint64.from_address(slot).value = target
    finally:
        _protect(pages, PROT_READ)
    return before


def read_slot(slot: int) -> int:
    """Return the function address that a slot holds."""
    return ctypes.c_uint64.from_address(slot).value


def _locked_pages(slots: Iterable[int]) -> list[int]:
    """Return the slots' pages that the dynamic linker has made read-only (RELRO)."""
    size = os.sysconf("SC_PAGESIZE")
    writable = _writable_spans()
    pages = sorted({slot // size * size for slot in slots})
    return [page for page in pages if not any(start <= page < end for start, end in writable)]


def _writable_spans() -> list[tuple[int, int]]:
    spans = []
    for line in MAPPINGS.read_text(encoding="utf-8", errors="surrogateescape").splitlines():
        span, rights, _ = line.split(" ", 2)
        if "w" in rights:
            start, end = span.split("-")
            spans.append((int(start, 16), int(end, 16)))
    return spans


def _protect(pages: Iterable[int], rights: int) -> None:
    process = ctypes.CDLL(None, use_errno=True)
    size = ctypes.c_size_t(os.sysconf("SC_PAGESIZE"))
    for page in pages:
        if process.mprotect(ctypes.c_void_p(page), size, ctypes.c_int(rights)):
            raise OSError(ctypes.get_errno(), "the page of an import slot cannot be changed")


DISTRIBUTION = "scipy-openblas32"
PREFIX = "scipy_"


class OpenBLAS:
    """The library, loaded, working on one thread.

    MLX calls it from as many streams as d2f gives it; split once more over threads, every product would
    wait for the slowest, which on a busy machine is long.
    """

    def __init__(self) -> None:
        self.path = _library_file()
        self._library = _load_with_one_thread(self.path)

    def address(self, name: str) -> int | None:
        """Return the address of a BLAS or LAPACK function by its ordinary name, None if it has none."""
        try:
            return ctypes.cast(self._library[PREFIX + name], ctypes.c_void_p).value
        except AttributeError:
            return None

    @property
    def threads(self) -> int:
        """How many threads a product may use."""
        return int(self._library[PREFIX + "openblas_get_num_threads"]())

    @property
    def version(self) -> str:
        """Its version, and the kernels that it has chosen for this processor, such as ``0.3.34 (Haswell)``."""
        return f"{self._text('openblas_get_config').split()[1]} ({self._text('openblas_get_corename')})"

    def _text(self, name: str) -> str:
        function = self._library[PREFIX + name]
        function.restype = ctypes.c_char_p
        text: bytes = function()
        return text.decode()


def _library_file() -> Path:
    spec = find_spec("scipy_openblas32")  # Importing it would load the library for everybody.
    if spec is None or spec.origin is None:
        raise OSError(f"{DISTRIBUTION} is not installed")
    for file in sorted(Path(spec.origin).parent.glob("lib/libscipy_openblas*.so")):
        return file
    raise OSError(f"{DISTRIBUTION} holds no library")


def _load_with_one_thread(file: Path) -> ctypes.CDLL:
    """Load with no pool of threads started, and leave the environment as it was."""
    variable = "OPENBLAS_NUM_THREADS"
    before = os.environ.get(variable)
    os.environ[variable] = "1"
    try:
        library = ctypes.CDLL(str(file))
    finally:
        if before is None:
            del os.environ[variable]
        else:
            os.environ[variable] = before
    # It may have been loaded before, with threads.
    library[PREFIX + "openblas_set_num_threads"](1)
    return library


SWITCH = "D2F_BLAS"
"""Environment variable; ``off`` leaves MLX's own BLAS in place."""

MLX_LIBRARY = "libmlx.so"
FUNCTION = re.compile(r"cblas_\w+|[sdcz][a-z0-9]+_")
FAST_ALREADY = re.compile(r"openblas|mkl|blis|armpl|accelerate", re.IGNORECASE)


@dataclass(frozen=True)
class InForce:
    """Which BLAS MLX calls in this process."""

    name: str
    reason: str
    slow: bool = False
    threads: int | None = None
    functions: tuple[str, ...] = ()
    undo: Mapping[int, int] = field(default_factory=dict, repr=False)


_state: InForce | None = None


def in_force() -> InForce | None:
    """Return what was decided when MLX was imported, None before."""
    return _state


def take_up() -> InForce:
    """Decide, act and remember; called when MLX has been imported. Warns once where MLX stays slow."""
    global _state
    if _state is None:
        try:
            _state = _decide()
        except Exception as error:  # Whatever it is, MLX works without.
            _state = InForce("MLX's own", str(error) or type(error).__name__, slow=True)
        if _state.slow:
            warnings.warn(_slow(_state.reason), RuntimeWarning, stacklevel=2)
    return _state


def undo() -> None:
    """Give MLX its own BLAS back."""
    global _state
    if _state is not None and _state.undo:
        point_slots(_state.undo)
        _state = InForce("MLX's own", "OpenBLAS was taken back")


def _decide() -> InForce:
    if os.environ.get(SWITCH, "").lower() == "off":
        return InForce("MLX's own", f"{SWITCH}=off")
    if not sys.platform.startswith("linux"):
        return InForce("MLX's own", "only the Linux wheel of MLX has a slow one")
    library = loaded_library(MLX_LIBRARY)
    if library is None or platform.machine() not in SLOT_RELOCATIONS or sys.maxsize < 2**32:
        return InForce("MLX's own", f"no {MLX_LIBRARY} of a machine that d2f knows is loaded")
    if fast := [name for name in needed(library) if FAST_ALREADY.search(name)]:
        return InForce(fast[0], "this build of MLX is linked to it")
    if preloaded := _preloaded():
        return InForce(preloaded, "it was loaded for the whole process before MLX")
    return _point_at_openblas(library)


def _preloaded() -> str | None:
    """Return the library that gives all others its ``cblas_sgemm``; MLX prefers it to its own."""
    try:
        ctypes.CDLL(None)["cblas_sgemm"]
    except AttributeError:
        return None
    return next((name for name in ("MKL", "OpenBLAS") if _exports(name)), "a BLAS of this process")


def _exports(name: str) -> bool:
    try:
        ctypes.CDLL(None)[{"MKL": "mkl_get_max_threads", "OpenBLAS": "openblas_get_config"}[name]]
    except AttributeError:
        return False
    return True


def _point_at_openblas(library: Library) -> InForce:
    openblas = OpenBLAS()
    slots = import_slots(library, platform.machine())
    addresses = {name: openblas.address(name) for name in slots if FUNCTION.fullmatch(name)}
    known = {name: address for name, address in addresses.items() if address is not None}
    if "cblas_sgemm" not in known:
        return InForce("MLX's own", "this build of MLX imports no BLAS, so that none can be replaced")
    if wrong := wrong_functions(known):
        kernels = f"{DISTRIBUTION} differ from numpy with the kernels that it chose, {openblas.version}"
        raise RuntimeError(f"{', '.join(wrong)} of {kernels}")
    before = point_slots({slot: address for name, address in known.items() for slot in slots[name]})
    return InForce(
        f"OpenBLAS {openblas.version}",
        f"from {DISTRIBUTION}, agrees with numpy",
        threads=openblas.threads,
        functions=tuple(sorted(known)),
        undo=before,
    )


def _slow(reason: str) -> str:
    # OpenBLAS reads this variable; its most common kernels are right on every processor of a kind.
    others = "OPENBLAS_CORETYPE=" + ("Haswell" if platform.machine() == "x86_64" else "ARMV8")
    remedy = others if "differ from numpy" in reason else f"pip install {DISTRIBUTION}"
    return (
        f"MLX multiplies matrices with its slow reference BLAS here, learned stages take about ten times as long: "
        f"{reason}. To have the fast one: {remedy}; to silence this: {SWITCH}=off"
    )


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
        left = _patternless((INNER, ROWS) if flip_left else (ROWS, INNER), dtype)
        right = _patternless((COLUMNS, INNER) if flip_right else (INNER, COLUMNS), dtype)
        out = _patternless((ROWS, COLUMNS), dtype)
        expected = 0.5 * (left.T if flip_left else left) @ (right.T if flip_right else right) + 2.0 * out
        orders = (TRANSPOSE if flip_left else NO_TRANSPOSE, TRANSPOSE if flip_right else NO_TRANSPOSE)
        operands = (0.5, left.ctypes.data, left.shape[1], right.ctypes.data, right.shape[1])
        function(ROW_MAJOR, *orders, ROWS, COLUMNS, INNER, *operands, 2.0, out.ctypes.data, COLUMNS)
        if not _close(out, expected):
            return False
    return True


def _solution_is_right(factorise_address: int, invert_address: int, dtype: str) -> bool:
    matrix = _patternless((ROWS, ROWS), dtype) + ROWS * np.eye(ROWS, dtype=dtype)
    right = _patternless((ROWS,), dtype)
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


def _patternless(shape: tuple[int, ...], dtype: str) -> Any:
    """Return numbers in [-1, 1] without a pattern; numpy.random would cost more to import than all the rest."""
    count = int(np.prod(shape))
    return np.sin(np.arange(1, count + 1, dtype=np.float64) ** 2).astype(dtype).reshape(shape)


def _close(found: Any, expected: Any) -> bool:
    return bool(np.abs(found - expected).max() <= TOLERANCE * np.abs(expected).max())
