"""Figures of merit: ranking, rates at thresholds, calibration, intervals; `figures.py` computes them all.

All take `labels`, shape (n,), 0 real and 1 generated; one finite value an image, greater meaning more generated; and
`weights`, shape (n,) or (rows, n), at least 0. A figure is a float, or an array of shape (rows,); it is NaN where a
class has no weight.
"""

from __future__ import annotations

from d2f.metrics.calibration import brier, expected_calibration_error, log_likelihood_ratio_cost
from d2f.metrics.intervals import Draws, Interval, cluster_bootstrap, cluster_bootstraps
from d2f.metrics.ranking import (
    Ranked,
    Rates,
    average_precision,
    balanced_accuracy,
    like_roc_auc,
    rates,
    roc_auc,
    true_positive_rate_at,
)

__all__ = [
    "Draws",
    "Interval",
    "Ranked",
    "Rates",
    "average_precision",
    "balanced_accuracy",
    "brier",
    "cluster_bootstrap",
    "cluster_bootstraps",
    "expected_calibration_error",
    "like_roc_auc",
    "log_likelihood_ratio_cost",
    "rates",
    "roc_auc",
    "true_positive_rate_at",
]
