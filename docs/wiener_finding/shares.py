"""Each chain's figures, the filter laid over both kinds of images or over one: recombinations of the same scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.evaluate.bench_figures import Draws, figures
from d2f.evaluate.bench_systems import GENERATED, LAYINGS, REAL, Laying, Subject
from d2f.metrics import Interval
from d2f.metrics.weighted import share
from wiener_finding.benched import COPIES

CLEAN, FILTERED, NOISY = range(len(COPIES))


@dataclass(frozen=True)
class Shares:
    """Figures of one chain on every draw, by (laying, copy, figure).

    Besides the bench's own: ``right_generated`` and ``right_real``, the share of a kind on the right side of even odds;
    ``still``, of all generated images those called so clean and under the filter; ``cleared``, of all generated
    images those called real under the filter only.
    """

    drawn: Mapping[tuple[Laying, int, str], Floats]
    draws: Draws

    def of(self, figure: str, copy: int, over: Laying = "both") -> Interval:
        """Return a figure with its interval."""
        return self.draws.interval(self.drawn[over, copy, figure])

    def change(self, figure: str, copy: int, since: int = CLEAN) -> Interval:
        """Return how much a figure is greater on one copy than on another, on the same draws."""
        return self.draws.interval(self.drawn["both", copy, figure] - self.drawn["both", since, figure])

    def laid(self, figure: str, copy: int) -> Interval:
        """Return how much a figure is greater with generated images alone filtered than with photographs alone."""
        return self.draws.interval(self.drawn["generated", copy, figure] - self.drawn["real", copy, figure])

    def beyond(self, other: Shares, figure: str, copy: int) -> Interval:
        """Return how much a figure of this chain is greater than that of another."""
        return self.draws.interval(self.drawn["both", copy, figure] - other.drawn["both", copy, figure])


def measured(subject: Subject, labels: Labels, draws: Draws) -> Shares:
    """Take every figure on every draw, clean and filtered, in each laying."""
    found: dict[tuple[Laying, int, str], Floats] = {}
    for over in LAYINGS:
        laid = subject.laid(labels, over)
        for copy in range(len(COPIES)):
            every = {**figures(laid, labels, draws.weights, copy), **_more(laid, labels, draws.weights, copy)}
            found |= {(over, copy, name): drawn for name, drawn in every.items()}
    return Shares(found, draws)


def _more(subject: Subject, labels: Labels, weights: Floats, copy: int) -> dict[str, Floats]:
    assert subject.verdicts is not None
    generated, values = labels == 1, np.nan_to_num(subject.values[:, copy], nan=0.0)
    clean, said = subject.verdicts[:, CLEAN], subject.verdicts[:, copy]
    return {
        "right_generated": share(values > 0, generated, weights),
        "right_real": share(values < 0, ~generated, weights),
        "still": share((clean == GENERATED) & (said == GENERATED), generated, weights),
        "cleared": share((clean != REAL) & (said == REAL), generated, weights),
    }
