"""The processes that are asked in turn."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Mapping
from types import TracebackType
from typing import Any

OFF = {"D2F_BLAS": "off", "D2F_LAYERS": "off", "D2F_MALLOC": "off"}

ENGINES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "bare": ("mlx", OFF),
    "blas": ("mlx", {"D2F_LAYERS": "off"}),
    "d2f": ("mlx", {}),
    "torch": ("torch", {}),
}
"""The wheel as it comes; with BLAS and allocator; with the layers and streams too; PyTorch."""


class Engine:
    """A worker process held to so many cores.

    Parameters
    ----------
    name : str
        A key of `ENGINES`.
    cores : int
    """

    def __init__(self, name: str, cores: int) -> None:
        self.name = name
        side, environment = ENGINES[name]
        allowed = sorted(os.sched_getaffinity(0))[:cores]
        clean = {key: value for key, value in os.environ.items() if not key.startswith("D2F_")}
        clean |= {"OPENBLAS_NUM_THREADS": "1"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.benchmarks.speed.worker", side, str(cores)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=clean | environment,
            preexec_fn=lambda: os.sched_setaffinity(0, allowed),
        )  # fmt: skip

    def time(self, case: Mapping[str, Any], calls: int | None = None) -> dict[str, Any]:
        """Time a case, given as plain data; returns what the worker answers."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"case": case, "calls": calls}) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        if not answer:
            raise RuntimeError(f"the process '{self.name}' ended; its message stands above")
        return dict(json.loads(answer))

    @property
    def pid(self) -> int:
        """The worker's number."""
        return self._process.pid

    def __enter__(self) -> Engine:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()
