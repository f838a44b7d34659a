"""Weights and inputs that shared/golden's outputs were made with: seeded from each tensor's own name."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

DATA = os.environ.get("D2F_DATA")
GOLDEN = Path(DATA).parent / "golden" if DATA else None
needs_golden = pytest.mark.skipif(
    GOLDEN is None or not (GOLDEN / "golden.json").is_file(), reason="no golden outputs beside D2F_DATA"
)


def drawn(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.sha256(name.encode()).digest()[:8], "big"))


def tensor(name: str, shape: list[int]) -> NDArray[np.float32]:
    random = drawn(name)
    if name.endswith("running_var") or (len(shape) == 1 and name.endswith("weight")):
        made = random.uniform(0.5, 1.5, shape)
    elif len(shape) >= 2:
        made = random.standard_normal(shape) * np.sqrt(1 / np.prod(shape[1:]))
    else:
        made = random.standard_normal(shape) * 0.1
    return made.astype(np.float32)


def golden(model: str) -> Any:
    assert GOLDEN is not None
    return json.loads((GOLDEN / "golden.json").read_text("utf-8"))[model]


def state(model: str) -> dict[str, NDArray[Any]]:
    shapes = golden(model)["state"]
    return {
        name: np.array(0) if name.endswith("num_batches_tracked") else tensor(name, shape)
        for name, shape in shapes.items()
    }


def pictures(model: str) -> NDArray[np.float32]:
    """Return the input (n, height, width, 3)."""
    random, shape = drawn(f"input:{model}"), golden(model)["input_shape"]
    if shape[-1] == 3:
        return random.uniform(0, 1, shape).astype(np.float32)
    return np.ascontiguousarray(random.standard_normal(shape).astype(np.float32).transpose(0, 2, 3, 1))


def outputs(model: str) -> NDArray[np.float64]:
    found = golden(model)
    return np.array(found["output"]).reshape([-1, *found["output_shape"][1:]][: len(found["output_shape"])])[:, 0]
