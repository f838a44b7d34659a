"""How many processor cores this process may really use."""

from __future__ import annotations

import math
import os
import sys
from collections.abc import Iterator
from pathlib import Path

THREADS = "D2F_THREADS"
"""Environment variable: the most cores to count, such as a worker process's share of the machine."""

BLAS_THREADS = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS", "VECLIB_MAXIMUM_THREADS")
"""Environment variables that linear algebra libraries read when they are loaded."""


def thread_variables(count: int) -> dict[str, str]:
    """Return the environment variables of a process that is to work in `count` threads."""
    return dict.fromkeys((*BLAS_THREADS, THREADS), str(count))


def usable_cores(membership: Path = Path("/proc/self/cgroup"), mount: Path = Path("/sys/fs/cgroup")) -> int:
    """Return the number of cores, at least 1.

    The smallest of the machine's cores, the process's affinity mask, `THREADS` and, on Linux, the processor quota
    of its control groups (version 2: ``cpu.max``; version 1: ``cpu.cfs_quota_us``), rounded up.
    """
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    if (most := os.environ.get(THREADS, "")).isdecimal():
        cores = min(cores, int(most))
    for folder in _groups(membership, mount):
        cores = min(cores, _quota(folder))
    return max(1, math.ceil(cores))


def one_blas_thread() -> bool:
    """Ask the linear algebra libraries for one thread each; only before numpy is first imported.

    Detectors run in as many threads as there are cores: each product split over all cores again would
    make them wait for each other. What the user has set in the environment stands. Returns whether it
    is in time to have an effect.
    """
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    return "numpy" not in sys.modules


def _groups(membership: Path, mount: Path) -> Iterator[Path]:
    """Yield the folders whose quota holds: each group's own and those above it."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        # In a container the path may be that of the host: what is mounted is then the group itself.
        top = mount / "cpu" if controllers else mount
        here = top / path.lstrip("/")
        yield here
        yield from (folder for folder in here.parents if folder == top or top in folder.parents)


def _quota(folder: Path) -> float:
    """Return a group's quota in cores, infinity where it has none."""
    try:
        if (folder / "cpu.max").exists():
            quota, period = (folder / "cpu.max").read_text().split()
        else:
            quota = (folder / "cpu.cfs_quota_us").read_text().strip()
            period = (folder / "cpu.cfs_period_us").read_text().strip()
        return int(quota) / int(period) if int(quota) > 0 else math.inf
    except (OSError, ValueError, ZeroDivisionError):  # "max", or a group without a quota
        return math.inf
