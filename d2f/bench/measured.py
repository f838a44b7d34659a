"""A subject measured under every attack, on the same draws as every other subject."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from d2f.api.arrays import Floats, Labels
from d2f.bench.draws import Draws
from d2f.bench.figures import FIGURES, figures
from d2f.bench.subject import Laying, Subject
from d2f.measure import Interval

WORST = ("auc", "evasion", "new_false_alarms")
"""Figures for which the worst attack is named."""


@dataclass(frozen=True)
class Measured:
    """Every figure of a subject on every copy.

    Parameters
    ----------
    subject : Subject
        As it was measured, attacks laid as asked.
    copies : tuple of str
        Names of the copies; the first is the clean one.
    drawn : mapping of (copy, figure) to numpy.ndarray, shape (1 + draws,)
    draws : Draws
    """

    subject: Subject
    copies: tuple[str, ...]
    drawn: Mapping[tuple[str, str], Floats]
    draws: Draws

    def interval(self, copy: str, figure: str) -> Interval:
        """Return one figure with its interval."""
        return self.draws.interval(self.drawn[copy, figure])

    def value(self, copy: str, figure: str) -> float:
        """Return one figure on the sample."""
        return float(self.drawn[copy, figure][0])

    def worst(self, figure: str, apart: frozenset[str] = frozenset()) -> str | None:
        """Return the attack under which a figure is worst, the clean copy and those `apart` left out."""
        sign = FIGURES[figure].better
        asked = [copy for copy in self.copies[1:] if copy not in apart and not np.isnan(self.value(copy, figure))]
        return min(asked, key=lambda copy: sign * self.value(copy, figure)) if asked else None


def measure(subject: Subject, labels: Labels, copies: Sequence[str], draws: Draws, over: Laying = "both") -> Measured:
    """Measure a subject, attacks laid over both classes or over one."""
    laid = subject.laid(labels, over)
    drawn = {
        (name, figure): found
        for copy, name in enumerate(copies)
        for figure, found in figures(laid, labels, draws.weights, copy).items()
    }
    return Measured(laid, tuple(copies), drawn, draws)
