"""A Ray cluster of two cores on this machine, for tests and measurements."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

TRIES = 3
"""Ray gives its own start 30 seconds, which a busy machine may exceed."""


@contextmanager
def ray_cluster(path: str) -> Iterator[None]:
    """Run a cluster whose processes, and d2f's own children by RAY_ADDRESS, have this PYTHONPATH."""
    import ray

    before = {name: os.environ.get(name) for name in ("PYTHONPATH", "RAY_ADDRESS", "RAY_ENABLE_UV_RUN_RUNTIME_ENV")}
    os.environ.pop("RAY_ADDRESS", None)
    os.environ.update(PYTHONPATH=path, RAY_ENABLE_UV_RUN_RUNTIME_ENV="0")
    settings = {"num_cpus": 2, "object_store_memory": 80 * 2**20, "include_dashboard": False, "log_to_driver": False}
    try:
        for left in reversed(range(TRIES)):
            try:
                with warnings.catch_warnings():
                    warnings.simplefilter("ignore")
                    context = ray.init(**settings, logging_level=40)
                break
            except Exception:
                ray.shutdown()
                if not left:
                    raise
        os.environ["RAY_ADDRESS"] = context.address_info["gcs_address"]
        yield
    finally:
        ray.shutdown()
        for name, value in before.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value
