"""What a user asks of a fit."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import date

from d2f.fitting.recipe import CALIBRATOR
from d2f.scoring.protocol import Protocol

ATTACKS = (
    "wiener:window=7",
    "wiener:window=7+noise:sigma=2",
    "jpeg:quality=60",
    "webp:quality=80",
    "resize:factor=0.5,back=true",
    "gaussian-blur:sigma=1",
    "noise:sigma=5",
)
"""Laundered copies that a fit adds by default: what images meet on their way, and what was seen to turn detectors."""


@dataclass(frozen=True)
class Request:
    """How a chain is to be fitted.

    Parameters
    ----------
    attacks : tuple of str
        SPECs of the laundered copies.
    protocol : {'matched', 'as-is'}
        How images are brought alike.
    folds : int
        At least 3.
    seed : int
        Of crops, qualities, folds and intervals; at least 0.
    calibrator : str
        Of cells for which the chain file names none.
    allow_overlap : bool
        Whether images that weights were trained on are let in.
    stand_ins : mapping of str to str
        By detector, a folder of weights that score the images which its own were trained on.
    workers : int or None
        Threads; None for the cores that the process may use. The result does not depend on it.
    keep_scores : str or None
        An SQLite file that scores are kept in and read back from; the result does not depend on it.
    today : date
        Written in the file; the day of the fit.
    tick : callable, optional
        Called after each image scored.
    """

    attacks: tuple[str, ...] = ATTACKS
    protocol: Protocol = "matched"
    folds: int = 5
    seed: int = 0
    calibrator: str = CALIBRATOR
    allow_overlap: bool = False
    stand_ins: Mapping[str, str] = field(default_factory=dict)
    workers: int | None = None
    keep_scores: str | None = None
    today: date = field(default_factory=date.today)
    tick: Callable[[], None] | None = None
