"""The processor, the cores that may be used, Python, and the compiler that `mx.compile` calls on a CPU."""

from __future__ import annotations

import os
import platform
import shutil
import sys
from collections.abc import Iterator

from d2f.doctor.finding import Finding
from d2f.engine.cores import usable_cores
from d2f.version import __version__

COMPILERS = ("g++", "c++", "clang++")


def machine() -> Iterator[Finding]:
    """Yield what the machine is."""
    yield Finding("machine", "d2f", __version__)
    yield Finding("machine", "python", f"{platform.python_version()} ({platform.python_implementation()})")
    yield Finding("machine", "system", f"{platform.system()} {platform.release()} {platform.machine()}")
    yield Finding("machine", "cores", f"{usable_cores()} usable of {os.cpu_count()}")
    if sys.platform == "linux":
        yield _compiler()


def _compiler() -> Finding:
    found = next((path for name in COMPILERS if (path := shutil.which(name))), None)
    if found is None:
        return Finding("machine", "compiler", "none; d2f needs none: mx.compile is off on a CPU unless asked for")
    return Finding("machine", "compiler", f"{found} (mx.compile on a CPU calls it)")
