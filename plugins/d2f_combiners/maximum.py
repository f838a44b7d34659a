"""`max`: the most suspicious member decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2f import Combination
from d2f_combiners.logits import logits
from d2f_combiners.unfitted import NoOptions, Unfitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Maximum(Unfitted):
    """The greatest of the members' logits; that member contributes all of it.

    One member that is sure suffices, so false alarms of all members add up: give the chain its own calibration
    (``combine.calibrate``), as `d2f chain fit` does.

    References
    ----------
    Kittler, Hatef, Duin and Matas, IEEE TPAMI 20 (1998), doi:10.1109/34.667881.
    """

    name = "max"
    summary = "The most suspicious member decides; nothing to fit."
    Options = NoOptions

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, members), NaN where a member has none; of equal members the first contributes."""
        import numpy as np

        ratios = np.where(np.isnan(probabilities), -np.inf, logits(probabilities))
        rows, greatest = np.arange(len(ratios)), ratios.argmax(axis=1)
        contributions = np.zeros(ratios.shape)
        contributions[rows, greatest] = ratios[rows, greatest]
        return Combination(ratios[rows, greatest], contributions)
