"""`vote`: every member counts the same."""

from __future__ import annotations

from typing import TYPE_CHECKING

from d2f import Combination
from d2f_combiners.unfitted import NoOptions, Unfitted

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Vote(Unfitted):
    """Members above 1/2 vote `generated`, members below it `real`; the ratio is log((g + 1) / (r + 1)).

    The added ones are Laplace's rule of succession: three votes to none make 4 : 1, not certainty. A member at exactly
    1/2 does not vote. The ratio is shared out among the votes evenly, each with its sign.

    References
    ----------
    Kittler, Hatef, Duin and Matas, IEEE TPAMI 20 (1998), doi:10.1109/34.667881.
    """

    name = "vote"
    summary = "One vote a member; the ratio is that of the votes, each raised by one."
    Options = NoOptions

    def combine(self, probabilities: NDArray[np.float64]) -> Combination:
        """Combine probabilities (n, members), NaN where a member has none."""
        import numpy as np

        votes = np.sign(np.where(np.isnan(probabilities), 0.5, probabilities) - 0.5)
        lead = votes.sum(axis=1)
        ratio = np.log((votes > 0).sum(axis=1) + 1.0) - np.log((votes < 0).sum(axis=1) + 1.0)
        share = np.divide(ratio, lead, out=np.zeros(len(lead)), where=lead != 0)
        return Combination(ratio, votes * share[:, None])
