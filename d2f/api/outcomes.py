"""What stages return: a score, an abstention with its reason, a combination."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from d2f.api.arrays import Floats


@dataclass(frozen=True, slots=True)
class Score:
    """A detector's finding on one view of one image.

    Parameters
    ----------
    value : float
        Any finite number. Its direction and scale are the detector's own: calibration, fitted per
        (detector, view), turns it into a probability.
    tiles : tuple of float
        The score of each tile, in the order they were given, where the detector works on tiles.
    evidence : str
        One line for a person, such as ``"C2PA manifest signed by a generator"``.
    """

    value: float
    tiles: tuple[float, ...] = ()
    evidence: str = ""


@dataclass(frozen=True, slots=True)
class Abstention:
    """A detector's statement that it has nothing to say of this image.

    Parameters
    ----------
    reason : str
        One line for a person: what was missing and, where there is one, the next step.
    """

    reason: str


Outcome: TypeAlias = Score | Abstention | float
"""What `Detector.score` returns for each image or tile; a bare float stands for ``Score(value)``."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What a combiner makes of n images.

    Parameters
    ----------
    llr : numpy.ndarray, shape (n,), float64
        Log-likelihood ratio of generated over real, in nats, before the prior.
    contributions : numpy.ndarray, shape (n, cells), float64
        What each cell added to `llr`, in nats; 0 where the cell had no probability.
    """

    llr: Floats
    contributions: Floats
