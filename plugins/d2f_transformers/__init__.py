"""The detector `transformers`: any image-classification model of the Hugging Face hub or a local folder."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_transformers.stage import TransformersDetector

    return [TransformersDetector]
