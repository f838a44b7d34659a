"""The detector `resnet`: a residual network on tiles, and what `d2f train` fits for it."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, GradientTrainable, Weights, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_resnet.stage import ResNetDetector

    return [ResNetDetector]


@hookimpl
def d2f_trainables() -> Sequence[type[GradientTrainable]]:
    """Return what `d2f train` fits for it."""
    from d2f_resnet.trainable import ResNetTrainable, VGGTrainable

    return [ResNetTrainable, VGGTrainable]


@hookimpl
def d2f_weights() -> Sequence[Weights]:
    """Return the records of the weights that ship."""
    from d2f_resnet.stage import RECORDS

    return RECORDS
