"""The detector `frequency-residual`: block spectra of a high-pass residual, a small network, and what fits it."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, GradientTrainable, Weights, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_frequency_residual.stage import FrequencyResidual

    return [FrequencyResidual]


@hookimpl
def d2f_trainables() -> Sequence[type[GradientTrainable]]:
    """Return what `d2f train` fits for it."""
    from d2f_frequency_residual.stage import FrequencyResidualTrainable

    return [FrequencyResidualTrainable]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the weights that ship."""
    from d2f_frequency_residual.stage import RECORDS

    return RECORDS
