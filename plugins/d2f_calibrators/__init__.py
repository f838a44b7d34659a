"""The calibrators `platt`, `isotonic` and `temperature`: score to probability at even prior."""

from __future__ import annotations

from collections.abc import Sequence

from d2f import Calibrator, hookimpl


@hookimpl
def d2f_calibrators() -> Sequence[type[Calibrator]]:
    """Return the three calibrators."""
    from d2f_calibrators.isotonic import Isotonic
    from d2f_calibrators.platt import Platt
    from d2f_calibrators.temperature import Temperature

    return [Platt, Isotonic, Temperature]
