"""Thresholds that hold a stated share of errors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from d2f.api.arrays import Floats
from d2f.fitting.rows import Rows
from d2f.fitting.weights import effective_count


@dataclass(frozen=True, slots=True)
class Thresholds:
    """Where verdicts begin.

    Parameters
    ----------
    real_below, generated_above : float
        In [0, 1], 4 decimals, never crossing.
    crossed : bool
        Both rates could be held with room to spare, so one threshold serves for both.
    """

    real_below: float
    generated_above: float
    crossed: bool = False


def fit_thresholds(rows: Rows, probability: Floats, false_positive_rate: float, miss_rate: float) -> Thresholds:
    """Find the thresholds that hold both rates.

    `generated_above` is the smallest at which at most `false_positive_rate` of the photographs lie above it,
    `real_below` the greatest at which at most `miss_rate` of the generated images lie below it; in both cases one more
    image, not seen, is counted as an error, so that the rate holds for the next image and not only for those at hand
    (Vovk, Gammerman and Shafer 2005, ISBN 9780387001524, section 2.2). Where they would cross, every threshold
    between them holds both rates, and the one nearest to 0.5 becomes both.

    Parameters
    ----------
    rows : Rows
    probability : numpy.ndarray, shape (m,), float64
        As verdicts compare it, rounded to 4 decimals; NaN where there is no verdict, which is no error.
    false_positive_rate, miss_rate : float
        In [0, 1].

    Returns
    -------
    Thresholds
        With fewer images than 1 / rate - 1 no threshold holds the rate, and it is 1 (or 0): no verdict of that kind.
    """
    real, generated = rows.labels == 0, rows.labels == 1
    above = _level(probability[real], rows.weights[real], rows.images[real], false_positive_rate)
    mirrored = _level(1 - probability[generated], rows.weights[generated], rows.images[generated], miss_rate)
    below = round(1 - mirrored, 4)
    if below <= above:
        return Thresholds(below, above)
    middle = min(max(0.5, above), below)
    return Thresholds(middle, middle, crossed=True)


def images_needed(rate: float) -> int:
    """How many images of a label the rate needs at least: the smallest n with 1 / (n + 1) <= rate.

    >>> images_needed(0.05), images_needed(0.01)
    (19, 99)
    """
    return int(np.ceil(1 / rate - 1 - 1e-9)) if rate > 0 else 0


def _level(values: Floats, weights: Floats, images: NDArray[np.int64], rate: float) -> float:
    """The smallest level in [0, 1] that at most `rate` of the weight, one unseen image included, lies above."""
    unseen = weights.sum() / max(effective_count(np.bincount(images, weights).astype(np.float64)), 1.0)
    allowed = rate * (weights.sum() + unseen) - unseen + 1e-12
    if allowed < 0:
        return 1.0
    said = np.isfinite(values)
    levels, at = np.unique(np.round(np.append(values[said], 0.0), 4), return_inverse=True)
    mass = np.bincount(at, np.append(weights[said], 0.0), minlength=len(levels))
    above = mass.sum() - np.cumsum(mass)
    return float(levels[np.argmax(above <= allowed)])
