"""Rates at thresholds: what a user of the verdicts meets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from d2f.measure.samples import samples


@dataclass(frozen=True, slots=True)
class Rates:
    """Weighted shares, each in [0, 1]; NaN where the class has no weight.

    Parameters
    ----------
    true_positive : float
        Of generated images, those called `generated`.
    false_positive : float
        Of photographs, those called `generated`.
    true_negative : float
        Of photographs, those called `real`.
    miss : float
        Of generated images, those called `real`.
    inconclusive : float
        Of all images, those called neither.
    inconclusive_real, inconclusive_generated : float
        The same within one class.
    """

    true_positive: float
    false_positive: float
    true_negative: float
    miss: float
    inconclusive: float
    inconclusive_real: float
    inconclusive_generated: float


def rates(
    labels: ArrayLike,
    probabilities: ArrayLike,
    real_below: float,
    generated_above: float,
    weights: ArrayLike | None = None,
) -> Rates:
    """Rates of verdicts: `generated` above one threshold, `real` below the other, both strictly.

    Parameters
    ----------
    labels : array_like, shape (n,)
        0 real, 1 generated.
    probabilities : array_like, shape (n,)
        As compared with the thresholds: rounded already, where verdicts round.
    real_below, generated_above : float
        `real_below` at most `generated_above`.
    weights : array_like, shape (n,), optional
        At least 0.

    Raises
    ------
    ValueError
        Where the thresholds cross.
    """
    if real_below > generated_above:
        raise ValueError(f"real_below {real_below} must be at most generated_above {generated_above}")
    values, generated, given = samples(labels, probabilities, weights)
    called, cleared = values > generated_above, values < real_below
    neither = ~(called | cleared)
    return Rates(
        true_positive=_share(called, given * generated),
        false_positive=_share(called, given * ~generated),
        true_negative=_share(cleared, given * ~generated),
        miss=_share(cleared, given * generated),
        inconclusive=_share(neither, given),
        inconclusive_real=_share(neither, given * ~generated),
        inconclusive_generated=_share(neither, given * generated),
    )


def balanced_accuracy(
    labels: ArrayLike, values: ArrayLike, threshold: float = 0.5, weights: ArrayLike | None = None
) -> float:
    """Mean of the shares of generated images at or above a threshold and of photographs below it.

    Returns
    -------
    float
        In [0, 1]; NaN where a class has no weight.

    Examples
    --------
    >>> balanced_accuracy([0, 0, 0, 1], [0.2, 0.3, 0.9, 0.5])
    0.8333333333333333
    """
    found, generated, given = samples(labels, values, weights)
    right = (found >= threshold) == generated
    return (_share(right, given * generated) + _share(right, given * ~generated)) / 2


def _share(held: np.ndarray, weights: np.ndarray) -> float:
    total = weights.sum()
    return float((weights * held).sum() / total) if total > 0 else float("nan")
