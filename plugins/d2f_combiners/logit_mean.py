"""`logit-mean`: the mean log-likelihood ratio."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2f import Combination
from d2f_combiners.logits import logits
from d2f_combiners.unfitted import NoOptions, Unfitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class LogitMean(Unfitted):
    """Mean of the present members' logits: the logarithmic opinion pool with equal weights.

    Right for members that repeat each other; too timid for members that are independent, where logits would add.

    References
    ----------
    Genest and Zidek, Statistical Science 1 (1986), doi:10.1214/ss/1177013825.
    """

    name = "logit-mean"
    summary = "Mean of the members' logits; nothing to fit."
    Options = NoOptions

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, members), NaN where a member has none; each adds its logit over the count."""
        import numpy as np

        present = ~np.isnan(probabilities)
        contributions = np.where(present, logits(probabilities), 0.0) / present.sum(axis=1, keepdims=True)
        return Combination(contributions.sum(axis=1), contributions)
