"""A Ray cluster of two cores on this machine, for tests and measurements."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress

TRIES = 3
"""Ray gives its own start 30 seconds, which a busy machine may exceed."""

HOLD = """
import sys, ray
settings = {"include_dashboard": False, "log_to_driver": False, "_node_ip_address": "127.0.0.1"}
context = ray.init(num_cpus=2, object_store_memory=80 * 2**20, **settings)
print("ADDRESS", context.address_info["gcs_address"], flush=True)
sys.stdin.read()
ray.shutdown()
"""
"""Ray's processes belong to a process of their own, so that nothing of a start that failed is left in this one."""


@contextmanager
def ray_cluster(path: str) -> Iterator[None]:
    """Run a cluster that d2f finds by RAY_ADDRESS, and whose processes have this PYTHONPATH."""
    environment = {name: value for name, value in os.environ.items() if name != "RAY_ADDRESS"}
    # On the loopback and without a token, which another process would have to know.
    environment |= {"PYTHONPATH": path, "RAY_ENABLE_UV_RUN_RUNTIME_ENV": "0", "RAY_AUTH_MODE": "disabled"}
    for left in reversed(range(TRIES)):
        holder = subprocess.Popen(
            [sys.executable, "-W", "ignore", "-c", HOLD],
            env=environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=None if left == 0 else subprocess.DEVNULL,
            text=True,
            start_new_session=True,
        )
        assert holder.stdout is not None
        address = next((line.split()[1] for line in holder.stdout if line.startswith("ADDRESS")), None)
        if address is not None:
            break
        _end(holder)
    assert address is not None, "Ray does not start on this machine"
    before = os.environ.get("RAY_ADDRESS")
    os.environ["RAY_ADDRESS"] = address
    try:
        yield
    finally:
        os.environ.pop("RAY_ADDRESS")
        if before is not None:
            os.environ["RAY_ADDRESS"] = before
        _end(holder)


def _end(holder: subprocess.Popen[str]) -> None:
    with suppress(OSError, subprocess.TimeoutExpired):
        holder.communicate("", timeout=30)
    with suppress(OSError):
        os.killpg(holder.pid, signal.SIGKILL)
    holder.wait()
