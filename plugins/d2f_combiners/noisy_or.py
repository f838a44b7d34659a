"""`noisy-or`: each member is a chance to be found out."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field

from d2f import Combination
from d2f_combiners.logits import bounded
from d2f_combiners.unfitted import Unfitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class NoisyOrOptions(BaseModel):
    """Options of `noisy-or`."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    leak: float = Field(
        default=0.0, ge=0.0, lt=1.0, description="Probability of `generated` that stays when every member says 0."
    )


class NoisyOr(Unfitted):
    """P = 1 - (1 - leak) * product of (1 - p) over the present members; the ratio is P's logit.

    Each member is taken as an independent cause for the alarm. Members that know nothing (p = 1/2) raise P, so give the
    chain its own calibration (``combine.calibrate``), as `d2f chain fit` does. With s = -log(1 - p), the
    ratio rises with the sum of s and is 0 where that sum is log 2; it is shared out in proportion to each
    member's distance from an equal share of log 2.

    References
    ----------
    Pearl, Probabilistic Reasoning in Intelligent Systems, 1988, ISBN 9781558604797, section 4.3.2.
    """

    name = "noisy-or"
    summary = "One minus the product of the members' complements, with an optional leak."
    Options = NoisyOrOptions

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, members), NaN where a member has none."""
        import numpy as np

        present = ~np.isnan(probabilities)
        alarms = np.where(present, -np.log1p(-bounded(probabilities)), 0.0)
        leak = -np.log1p(-self.options.leak)
        total = alarms.sum(axis=1) + leak
        # log(exp(total) - 1), without overflow.
        ratio = total + np.log(-np.expm1(-total))
        excess = total - np.log(2.0)
        # At the even point the ratio's slope is 2, the limit of ratio / excess.
        slope = np.divide(ratio, excess, out=np.full(len(total), 2.0), where=np.abs(excess) > 1e-9)
        share = (excess - alarms.sum(axis=1)) / present.sum(axis=1)
        return Combination(ratio, np.where(present, (alarms + share[:, None]) * slope[:, None], 0.0))
