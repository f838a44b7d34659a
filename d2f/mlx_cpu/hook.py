"""Wait for the first import of MLX without importing it."""

from __future__ import annotations

import sys
from collections.abc import Sequence
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
    from d2f.mlx_cpu.allocator import keep_freed_memory
    from d2f.mlx_cpu.blas import take_up

    take_up()
    if _ours:
        keep_freed_memory()
