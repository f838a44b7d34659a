"""Each chain's figures, the filter applied to both kinds of images or to one: recombinations of the same scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from d2f.api.inputs import Floats, Labels
from d2f.evaluate.systems import ATTACKED, Attacked, System
from d2f.metrics import Draws, Interval
from d2f.metrics.figures import GENERATED, REAL, figures
from d2f.metrics.ranking import share
from wiener_finding.benched import COPIES

CLEAN, FILTERED, NOISY = range(len(COPIES))


@dataclass(frozen=True)
class Shares:
    """Figures of one chain on every draw, by (class that is filtered, copy, figure).

    Besides the bench's own: ``right_generated`` and ``right_real``, the share of a kind on the right side of even odds;
    ``still``, of all generated images those called so clean and under the filter; ``cleared``, of all generated
    images those called real under the filter only.
    """

    drawn: Mapping[tuple[Attacked, int, str], Floats]
    draws: Draws

    def of(self, figure: str, copy: int, over: Attacked = "both") -> Interval:
        """Return a figure with its interval."""
        return self.draws.interval(self.drawn[over, copy, figure])

    def change(self, figure: str, copy: int, since: int = CLEAN) -> Interval:
        """Return how much a figure is greater on one copy than on another, on the same draws."""
        return self.draws.interval(self.drawn["both", copy, figure] - self.drawn["both", since, figure])

    def of_class(self, figure: str, copy: int) -> Interval:
        """Return how much a figure is greater with generated images alone filtered than with photographs alone."""
        return self.draws.interval(self.drawn["generated", copy, figure] - self.drawn["real", copy, figure])

    def beyond(self, other: Shares, figure: str, copy: int) -> Interval:
        """Return how much a figure of this chain is greater than that of another."""
        return self.draws.interval(self.drawn["both", copy, figure] - other.drawn["both", copy, figure])


def measured(system: System, labels: Labels, draws: Draws) -> Shares:
    """Take every figure on every draw, clean and filtered, whichever class is filtered."""
    found: dict[tuple[Attacked, int, str], Floats] = {}
    for over in ATTACKED:
        judged = system.attacked(labels, over)
        for copy in range(len(COPIES)):
            verdicts = judged.verdicts
            assert verdicts is not None
            clean = verdicts[:, CLEAN] if copy else None
            every = figures(labels, judged.values[:, copy], verdicts[:, copy], draws.weights, clean)
            every |= _more(judged, labels, draws.weights, copy)
            found |= {(over, copy, name): drawn for name, drawn in every.items()}
    return Shares(found, draws)


def _more(system: System, labels: Labels, weights: Floats, copy: int) -> dict[str, Floats]:
    assert system.verdicts is not None
    generated, values = labels == 1, np.nan_to_num(system.values[:, copy], nan=0.0)
    clean, now = system.verdicts[:, CLEAN], system.verdicts[:, copy]
    return {
        "right_generated": share(values > 0, generated, weights),
        "right_real": share(values < 0, ~generated, weights),
        "still": share((clean == GENERATED) & (now == GENERATED), generated, weights),
        "cleared": share((clean != REAL) & (now == REAL), generated, weights),
    }
