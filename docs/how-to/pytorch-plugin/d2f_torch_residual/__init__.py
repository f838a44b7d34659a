"""The detector `torch-residual`: a PyTorch network behind d2f's contract. Importing this imports no torch."""

from __future__ import annotations

from collections.abc import Sequence

import d2f

d2f_api = ">=1,<2"


@d2f.hookimpl
def d2f_detectors() -> Sequence[type[d2f.Detector]]:
    """Return the detector."""
    from d2f_torch_residual.detector import TorchResidual

    return [TorchResidual]


@d2f.hookimpl
def d2f_weights() -> Sequence[d2f.Weights]:
    """Return the record of the weights that ship."""
    from d2f_torch_residual.detector import RECORDS

    return RECORDS
