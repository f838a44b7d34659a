"""MLX sped up whenever it is imported, and freed memory kept in processes that d2f starts; imports no array library."""

from __future__ import annotations

import ctypes
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.machinery import ModuleSpec
from importlib.util import find_spec
from types import ModuleType

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


ALLOCATOR_SWITCH = "D2F_MALLOC"
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


_allocator = Allocator(False, "this process was not started by d2f")


def allocator_in_force() -> Allocator:
    """Return what `keep_freed_memory` has done so far."""
    return _allocator


def keep_freed_memory() -> Allocator:
    """Set glibc's malloc to keep what is freed.

    For processes that d2f starts itself (its command line and its workers): the setting is the whole
    process's, so that a library has no business making it. It holds for memory allocated afterwards.
    """
    global _allocator
    _allocator = _kept_memory()
    return _allocator


def _kept_memory() -> Allocator:
    if os.environ.get(ALLOCATOR_SWITCH, "").lower() == "off":
        return Allocator(False, f"{ALLOCATOR_SWITCH}=off")
    if platform.libc_ver()[0] != "glibc":
        return Allocator(False, "this system's allocator is not glibc's")
    library = ctypes.CDLL(None)
    done = [
        any(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for value in values)
        for name, values in SETTINGS
    ]
    return Allocator(all(done), "glibc keeps what is freed" if all(done) else "glibc refused the settings")
