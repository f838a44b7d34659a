"""Results of stages: scores, abstentions, evidence, and the events that observers receive."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeAlias

from d2f.api.inputs import Floats


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
    seen : float, optional
        Share of the view's pixels that the score depends on, in (0, 1], of a detector that looks at a window of a
        whole view. d2f fills it in for detectors that work on tiles.
    """

    value: float
    tiles: tuple[float, ...] = ()
    evidence: str = ""
    seen: float | None = None


@dataclass(frozen=True, slots=True)
class Abstention:
    """A detector's statement that it has nothing to say of this image.

    Parameters
    ----------
    reason : str
        One line for a person: what was missing and, where there is one, the next step.
    """

    reason: str


@dataclass(frozen=True, slots=True)
class Evidence:
    """One finding of what a file says about itself: what its fields or marks claim, not what the picture is.

    Parameters
    ----------
    kind : str
        What sort of finding: ``c2pa``, ``iptc``, ``generator-text``, ``camera``, ``invisible-mark``, …
    statement : str
        One sentence for a person.
    source : str
        Where in the file it is, such as ``JPEG APP11``.
    trust : str
        How far it can be relied on, in words, such as ``valid, signer on the trust list`` or ``can be forged``.
    llr : float
        Log of the declared likelihood ratio of generated over real, in nats; 0 where the finding says nothing.
    raw : str
        The field as the file has it, bounded in length.
    """

    kind: str
    statement: str
    source: str
    trust: str
    llr: float = 0.0
    raw: str = ""


Outcome: TypeAlias = Score | Abstention | float
"""What `Detector.score` returns for each image or tile; a bare float means ``Score(value)``."""


@dataclass(frozen=True, slots=True)
class Combination:
    """What a combiner makes of n images.

    Parameters
    ----------
    llr : numpy.ndarray, shape (n,), float64
        Log-likelihood ratio of generated over real, in nats, before the prior.
    contributions : numpy.ndarray, shape (n, members), float64
        What each member added to `llr`, in nats; 0 where the member had no probability.
    """

    llr: Floats
    contributions: Floats


@dataclass(frozen=True, slots=True)
class StageFinished:
    """A stage has worked on a batch.

    Parameters
    ----------
    kind : str
        ``detector``, ``preprocessor``, ``decode`` or ``combiner``.
    name : str
        The detector's id in the chain, the preprocessor's name, or the kind itself.
    view : str
        The view's name; empty where there is none.
    images : int
        How many images the batch held.
    seconds : float
        Wall time, in seconds.
    """

    kind: str
    name: str
    view: str
    images: int
    seconds: float
