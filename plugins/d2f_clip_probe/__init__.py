"""The detector `clip-probe`: tokens of an image tower, and a small head."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, EstimatorTrainable, Weights, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_clip_probe.stage import ClipProbe

    return [ClipProbe]


@hookimpl
def d2f_trainables() -> Sequence[type[EstimatorTrainable]]:
    """Return what `d2f train` fits for it."""
    from d2f_clip_probe.stage import ClipProbeTrainable

    return [ClipProbeTrainable]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the heads that ship; those of towers are d2f_towers'."""
    from d2f_clip_probe.stage import HEADS

    return HEADS
