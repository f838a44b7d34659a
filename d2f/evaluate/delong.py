"""DeLong's variance of an AUC and of the difference of two: a description, for it takes every image as independent."""

from __future__ import annotations

import math

import numpy as np

from d2f.api.inputs import Floats, Labels


def placements(labels: Labels, values: Floats) -> tuple[Floats, Floats]:
    """Return, of each generated image, the share of photographs below it, and of each photograph the share above it.

    Ties count one half. The mean of either is the AUC.

    `labels` shape (n,); `values` shape (n,), float64.
    """
    real, generated = values[labels == 0], values[labels == 1]
    return _share_below(generated, real), 1.0 - _share_below(real, generated)


def auc_error(labels: Labels, values: Floats) -> float:
    """Return the standard error of an AUC; NaN with fewer than two images of a label.

    References
    ----------
    DeLong, DeLong and Clarke-Pearson, Biometrics 44 (1988), 837-845, doi:10.2307/2531595.
    """
    return _error(*placements(labels, values))


def difference_p(labels: Labels, first: Floats, second: Floats) -> float:
    """Return the two-sided p-value that two AUCs on the same images are equal.

    `labels` shape (n,); `first, second` shape (n,), float64.
    """
    one, other = placements(labels, first), placements(labels, second)
    gap = float(one[0].mean() - other[0].mean())
    error = _error(one[0] - other[0], one[1] - other[1])
    if math.isnan(error):
        return error
    if error == 0:
        return 1.0 if gap == 0 else 0.0
    return math.erfc(abs(gap) / error / math.sqrt(2))


def _error(generated: Floats, real: Floats) -> float:
    if min(len(generated), len(real)) < 2:
        return float("nan")
    return math.sqrt(generated.var(ddof=1) / len(generated) + real.var(ddof=1) / len(real))


def _share_below(values: Floats, others: Floats) -> Floats:
    ordered = np.sort(others)
    below = np.searchsorted(ordered, values, side="left") + np.searchsorted(ordered, values, side="right")
    shares: Floats = below / (2 * len(others))
    return shares
