"""Probabilities as bounded log-likelihood ratios."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 1e-4
"""No member is taken to be surer than one in ten thousand: |logit| is at most 9.21 nats."""


def bounded(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return `probabilities` within [`LEAST`, 1 - `LEAST`]; NaN stays NaN."""
    import numpy as np

    return np.clip(probabilities, LEAST, 1 - LEAST)


def logits(probabilities: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log(p / (1 - p)) of bounded probabilities, in nats; NaN stays NaN.

    A member's probability is at even prior, so its logit is its log-likelihood ratio.
    """
    import numpy as np

    kept = bounded(probabilities)
    return np.log(kept) - np.log1p(-kept)
