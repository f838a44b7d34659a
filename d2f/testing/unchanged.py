"""What a stage must leave as it found it: arrays, the process's random generators, its settings."""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


@contextmanager
def random_state(seed: int) -> Iterator[None]:
    """Seed the generators of Python and NumPy that all code of the process shares, and put them back afterwards."""
    import numpy as np

    kept, kept_by_numpy = random.getstate(), np.random.get_state()
    random.seed(seed)
    np.random.seed(seed)
    try:
        yield
    finally:
        random.setstate(kept)
        np.random.set_state(kept_by_numpy)


@contextmanager
def process_state() -> Iterator[list[str]]:
    """Yield a list that afterwards holds what the block has changed in the process, in words."""
    before, changed = _state(), []  # type: tuple[dict[str, Any], list[str]]
    yield changed
    after = _state()
    changed += [name for name in before if before[name] != after[name]]


def _state() -> dict[str, Any]:
    import numpy as np

    of_numpy = np.random.get_state(legacy=False)
    key = of_numpy["state"]
    return {
        "the random generator of the module `random`": random.getstate(),
        "the random generator of numpy.random": (key["key"].tobytes(), key["pos"]),
        "what NumPy does about division by zero (numpy.seterr)": np.geterr(),
        "the environment": dict(os.environ),
        "the working folder": os.getcwd(),
    }


def fingerprint(value: Any) -> Any:
    """Return what tells whether a picture or a file in memory has been changed."""
    import numpy as np

    if isinstance(value, np.ndarray):
        return value.shape, value.dtype.str, value.tobytes()
    return fingerprint(value.pixels), value.data, sorted(map(str, value.info))
