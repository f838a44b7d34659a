"""Which way a calibrator reads a score, found by asking it."""

from __future__ import annotations

from d2f.api.stages import Calibrator

PROBES = tuple(sign * 10.0**power for sign in (-1, 1) for power in range(-3, 7))
"""Scores of every scale; a calibrator is asked at each."""


def direction(calibrator: Calibrator) -> int:
    """Return 1 where the probability of `generated` rises with the score, -1 where it falls, 0 where it does neither.

    A calibrator that raises counts as neither.
    """
    import numpy as np

    try:
        found = np.asarray(calibrator.probability(np.array(sorted(PROBES))), dtype=np.float64)
    except Exception:  # what it raises is told where it is used
        return 0
    steps = np.sign(np.diff(found))
    rises, falls = bool((steps > 0).any()), bool((steps < 0).any())
    return int(rises) - int(falls)
