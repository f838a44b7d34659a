"""How many processor cores, and how much memory, this process may really use."""

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


def thread_variables(cores: int) -> dict[str, str]:
    """Return the environment of a process for so many cores: one thread a library, unless the user has set it."""
    return {THREADS: str(cores), **{name: os.environ.get(name, "1") for name in BLAS_THREADS}}


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


def usable_memory(
    meminfo: Path = Path("/proc/meminfo"),
    membership: Path = Path("/proc/self/cgroup"),
    mount: Path = Path("/sys/fs/cgroup"),
) -> int:
    """Return the bytes of memory that are free for use: of the machine and, on Linux, of its control groups.

    Where the system does not say what is free (macOS), half of the machine's memory.
    """
    try:
        free = 1024 * int(meminfo.read_text().partition("MemAvailable:")[2].split()[0])
    except (OSError, IndexError, ValueError):
        free = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    for folder in _groups(membership, mount, "memory"):
        for most, used in (("memory.max", "memory.current"), ("memory.limit_in_bytes", "memory.usage_in_bytes")):
            try:
                held = int((folder / used).read_text()) - _file_cache(folder)
                free = min(free, int((folder / most).read_text()) - held)
            except (OSError, ValueError):  # "max", or a group without a limit
                continue
    return max(0, free)


def _file_cache(folder: Path) -> int:
    """Return the bytes of a control group that the system can take back at once."""
    try:
        fields = dict(line.split() for line in (folder / "memory.stat").read_text().splitlines())
        return int(fields["inactive_file"])
    except (OSError, ValueError, KeyError):
        return 0


def one_blas_thread() -> bool:
    """Ask the linear algebra libraries for one thread each; only before numpy is first imported.

    Detectors run in as many threads as there are cores: each product split over all cores again would
    make them wait for each other. What the user has set in the environment stands. Returns whether it
    is in time to have an effect.
    """
    for variable in BLAS_THREADS:
        os.environ.setdefault(variable, "1")
    return "numpy" not in sys.modules


def _groups(membership: Path, mount: Path, controller: str = "cpu") -> Iterator[Path]:
    """Yield the folders whose limits hold: each group's own and those above it."""
    try:
        lines = membership.read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        # In a container the path may be that of the host: what is mounted is then the group itself.
        top = mount / controller if controllers else mount
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
