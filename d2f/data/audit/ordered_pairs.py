"""The area under the ROC curve over pairs that one model scored."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats, Labels

Index = NDArray[np.int64]


def ordered_pairs(labels: Labels, values: Floats, fold: Index) -> Callable[[Index], float]:
    """Return a function of indices (m,), with repetition: the share of ordered pairs among them.

    A pair is a generated image and a photograph of one fold; it is ordered where the generated image's value is
    greater, and half of it where they tie. Scores of different folds come from different models: to compare them
    would measure the models' offsets. Without any pair the share is NaN.

    Examples
    --------
    >>> share = ordered_pairs(np.array([0, 1, 0, 1]), np.array([0.1, 0.2, 0.8, 0.9]), np.array([0, 0, 1, 1]))
    >>> share(np.arange(4))
    1.0
    """
    distinct, at = np.unique(np.stack([fold.astype(np.float64), values], axis=1), axis=0, return_inverse=True)
    at, size = at.reshape(-1), len(distinct)
    first = np.searchsorted(distinct[:, 0], distinct[:, 0])
    generated = labels == 1

    def share(index: Index) -> float:
        chosen, made = at[index], generated[index]
        of_made = np.bincount(chosen[made], minlength=size)
        of_real = np.bincount(chosen[~made], minlength=size)
        above = np.cumsum(of_real) - of_real
        below = above - above[first]
        in_fold = np.bincount(first, of_real, minlength=size)[first]
        pairs = float(of_made @ in_fold)
        return float(of_made @ (below + of_real / 2)) / pairs if pairs else float("nan")

    return share
