"""Keep freed memory in the process instead of giving it back to the kernel after every MLX operation.

MLX on a CPU allocates the result of each operation anew. glibc maps blocks above 32 MiB afresh each time and
returns the top of the heap when it is free, so that the kernel clears the same pages over and over; a
convolution of large maps is then two to six times as slow.
"""

from __future__ import annotations

import ctypes
import os
import platform
from dataclasses import dataclass

SWITCH = "D2F_MALLOC"
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


_state = Allocator(False, "this process was not started by d2f")


def in_force() -> Allocator:
    """Return what `keep_freed_memory` has done so far."""
    return _state


def keep_freed_memory() -> Allocator:
    """Set glibc's malloc to keep what is freed.

    For processes that d2f starts itself (its command line and its workers): the setting is the whole
    process's, so that a library has no business making it. It holds for memory allocated afterwards.
    """
    global _state
    _state = _keep_freed_memory()
    return _state


def _keep_freed_memory() -> Allocator:
    if os.environ.get(SWITCH, "").lower() == "off":
        return Allocator(False, f"{SWITCH}=off")
    if platform.libc_ver()[0] != "glibc":
        return Allocator(False, "this system's allocator is not glibc's")
    library = ctypes.CDLL(None)
    done = [
        any(library.mallopt(ctypes.c_int(name), ctypes.c_int(value)) == 1 for value in values)
        for name, values in SETTINGS
    ]
    return Allocator(all(done), "glibc keeps what is freed" if all(done) else "glibc refused the settings")
