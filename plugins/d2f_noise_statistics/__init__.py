"""The detector `noise-statistics`: handcrafted features of noise and texture, and a classical classifier."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, EstimatorTrainable, Weights, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_noise_statistics.stage import NoiseStatistics

    return [NoiseStatistics]


@hookimpl
def d2f_trainables() -> Sequence[type[EstimatorTrainable]]:
    """Return what `d2f train` fits for it."""
    from d2f_noise_statistics.stage import NoiseStatisticsTrainable

    return [NoiseStatisticsTrainable]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the weights that ship."""
    from d2f_noise_statistics.stage import RECORDS

    return RECORDS
