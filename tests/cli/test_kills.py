"""The short form of `tests.benchmarks.kills`: a worker process killed at a random moment."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.benchmarks.kills import made_toy, moments


@pytest.mark.skipif(sys.platform != "linux", reason="processes are found in /proc")
def test_a_worker_killed_at_a_random_moment_costs_no_row(tmp_path: Path) -> None:
    toy = made_toy(tmp_path, images=60)
    (found,) = moments(toy, "worker", 1, seed=7)
    assert found["same"]
    assert (found["hit"], found["runs"]) == (True, 1)
