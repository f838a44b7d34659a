"""MLX: its packages, device, BLAS, allocator and streams."""

from __future__ import annotations

import re
import sys
import warnings
from collections.abc import Iterable, Iterator
from importlib.metadata import distributions

from d2f.doctor.finding import Finding

BACKEND = re.compile(r"mlx-(cpu|cuda.*)")
"""Distributions that install the same library file; two of them overwrite each other."""


def mlx_backend() -> Iterator[Finding]:
    """Yield what is known of MLX; imports it."""
    names = {distribution.metadata["Name"]: distribution.version for distribution in distributions()}
    yield backends(names)
    try:
        with warnings.catch_warnings():
            # The BLAS is told of below, with its reason.
            warnings.simplefilter("ignore", RuntimeWarning)
            import mlx.core as mx
    except ImportError as error:
        package = "mlx[cpu]" if sys.platform == "linux" else "mlx"
        yield Finding(
            "mlx", "mlx", f"cannot be imported: {error}", "error", f"pip install --force-reinstall '{package}'"
        )
        return
    yield Finding("mlx", "mlx", f"{names.get('mlx', 'unknown version')}, device {mx.default_device()}")
    yield from _cpu()
    yield _mlx_data(names)


def backends(names: Iterable[str]) -> Finding:
    """Return which backend's library is installed; two at once are an error.

    >>> backends(["numpy", "mlx", "mlx-cpu"]).value
    'mlx-cpu'
    >>> backends(["mlx-cuda-12", "mlx-cpu"]).state
    'error'
    """
    found = sorted(name for name in names if BACKEND.fullmatch(name))
    if len(found) > 1:
        others = " ".join(found)
        remedy = f"pip uninstall {others}, then pip install the one that is wanted"
        return Finding("mlx", "backend", f"{' and '.join(found)} install the same library file", "error", remedy)
    return Finding("mlx", "backend", found[0] if found else "MLX's own wheel")


def _cpu() -> Iterator[Finding]:
    from d2f.mlx_cpu import allocator, blas
    from d2f.mlx_cpu.streams import on_this_cpu, streams

    chosen = blas.in_force()
    if chosen is not None:
        remedy = "pip install scipy-openblas32" if chosen.slow else ""
        yield Finding("mlx", "BLAS", f"{chosen.name}: {chosen.reason}", "warning" if chosen.slow else "fine", remedy)
    memory = allocator.in_force()
    yield Finding("mlx", "allocator", memory.reason)
    layers = "d2f's for a CPU" if on_this_cpu() else "mlx.nn's own"
    yield Finding("mlx", "layers", f"{layers}; {len(streams())} stream(s), one BLAS thread each")


def _mlx_data(names: dict[str, str]) -> Finding:
    version = names.get("mlx-data")
    if version is None:
        return Finding("mlx", "mlx-data", "not installed; `d2f train` feeds networks by threads instead")
    return Finding("mlx", "mlx-data", version)
