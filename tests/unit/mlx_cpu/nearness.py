"""How near two arrays are, relative to the largest number of the second."""

from __future__ import annotations

from typing import Any

import numpy as np

TOLERANCE = 1e-5


def assert_near(found: Any, expected: Any, tolerance: float = TOLERANCE) -> None:
    """Assert equal shapes and differences of at most `tolerance` times the largest expected magnitude."""
    found, expected = np.array(found), np.array(expected)
    assert found.shape == expected.shape
    if expected.size:
        assert np.abs(found - expected).max() <= tolerance * max(np.abs(expected).max(), 1e-30)
