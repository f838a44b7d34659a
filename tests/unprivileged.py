"""d2f run where permissions hold: root gives up its right to pass over them, and what is closed belongs to another."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from tests.cli.toy import MAIN, Toy, toy

__all__ = ["toy", "unprivileged"]

NOBODY = 65534
DROP = """
import ctypes, os, sys
drop, libc = 24, ctypes.CDLL(None)  # PR_CAPBSET_DROP
for capability in (1, 2):  # CAP_DAC_OVERRIDE, CAP_DAC_READ_SEARCH
    assert libc.prctl(drop, capability, 0, 0, 0) == 0
os.execv(sys.executable, [sys.executable, *sys.argv[1:]])
"""
"""The interpreter itself may lie in root's home, so that another user could not start it."""


@dataclass(frozen=True)
class Unprivileged(Toy):
    """The toy chain, for a process to which permissions apply."""

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run ``d2f`` in the folder."""
        command = [sys.executable, *(["-c", DROP] if os.geteuid() == 0 else []), "-c", MAIN, *arguments]
        return subprocess.run(
            command, cwd=self.folder, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )

    def close(self, name: str) -> None:
        """Let nobody read or enter a file or folder."""
        path = self.folder / name
        if os.geteuid() == 0:
            os.chown(path, NOBODY, NOBODY)
        path.chmod(0)


@pytest.fixture
def unprivileged(toy: Toy) -> Iterator[Unprivileged]:
    """Install the toy plugin and the toy chain; open all folders again afterwards, for they are deleted."""
    yield Unprivileged(toy.folder, toy.distributions)
    for folder in (path for path in toy.folder.rglob("*") if path.is_dir()):
        folder.chmod(0o755)
