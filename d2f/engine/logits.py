"""Probability to log-odds and back, with bounds that keep both finite."""

from __future__ import annotations

import numpy as np

from d2f.api.arrays import Floats

SMALLEST = 1e-6
"""Probabilities are kept within [SMALLEST, 1 - SMALLEST]: no cell may claim more than 13.8 nats."""


def clipped(probabilities: Floats) -> Floats:
    """Return the probabilities within [1e-6, 1 - 1e-6]; NaN stays NaN."""
    return np.clip(probabilities, SMALLEST, 1.0 - SMALLEST)


def logit(probabilities: Floats) -> Floats:
    """Return log(p / (1 - p)), in nats, for probabilities within (0, 1)."""
    return np.log(probabilities) - np.log1p(-probabilities)


def expit(log_odds: Floats) -> Floats:
    """Return 1 / (1 + exp(-x)), without overflow for any finite x."""
    small = np.exp(-np.abs(log_odds))
    return np.where(log_odds >= 0, 1.0, small) / (1.0 + small)
