"""Published detectors of known architecture, each with its authors' own preprocessing, on MLX."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, Weights, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detectors."""
    from d2f_published.stages import STAGES

    return STAGES


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the authors' weights; none of them ships."""
    from d2f_published.records import RECORDS

    return RECORDS
