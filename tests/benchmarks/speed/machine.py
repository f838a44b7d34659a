"""The machine and the versions that a measurement is of."""

from __future__ import annotations

import os
import platform
from functools import cache
from importlib import metadata


@cache
def machine() -> str:
    """Return processor, BLAS and versions in a line."""
    versions = ", ".join(f"{name} {_version(name)}" for name in ("mlx", "torch"))
    return f"{_processor()}, {os.cpu_count()} cores; Python {platform.python_version()}, {versions}, {_blas()}"


def _blas() -> str:
    import mlx.core  # noqa: F401  The hook of d2f takes the BLAS up.

    from d2f.mlx_cpu.blas import in_force

    chosen = in_force()
    return chosen.name if chosen is not None else "MLX's own BLAS"


def _processor() -> str:
    try:
        with open("/proc/cpuinfo", encoding="utf-8") as file:
            names = [line.partition(":")[2].strip() for line in file if line.startswith("model name")]
    except OSError:
        names = []
    return names[0] if names else platform.processor()


def _version(name: str) -> str:
    try:
        return metadata.version(name).partition("+")[0]
    except metadata.PackageNotFoundError:
        return "(not here)"
