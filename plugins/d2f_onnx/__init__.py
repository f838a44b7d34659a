"""The detector `onnx`: any image classifier in an ONNX file, by options alone."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Detector, hookimpl


@hookimpl
def d2f_detectors() -> Sequence[type[Detector]]:
    """Return the detector."""
    from d2f_onnx.stage import OnnxDetector

    return [OnnxDetector]
