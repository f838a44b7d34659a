"""What the engine runs: stages built and bound, without the file they came from."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from d2f.api.stages import Calibrator, Combiner, Detector, Preprocessor

PLAIN = "plain"
"""The view that always exists: the decoded image itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One preprocessor of a view.

    Parameters
    ----------
    key : str
        ``use`` and canonical options, equal for equal steps, so that equal views are computed once.
    stage : Preprocessor
        The stage, built.
    """

    key: str
    stage: Preprocessor


@dataclass(frozen=True, slots=True)
class BoundDetector:
    """A detector, built, and the views that it looks at, in order.

    Parameters
    ----------
    id : str
    stage : Detector
    views : tuple of str
    key : str
        ``use``, canonical options and digests of weights, equal for equal detectors whatever they are called;
        empty where nobody says, and then nothing is shared or kept.
    """

    id: str
    stage: Detector
    views: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """From scores to a verdict.

    Parameters
    ----------
    calibrators : mapping of cell name to Calibrator
        A cell without one has no probability.
    combiner : Combiner
        Built for `Plan.cells`.
    need : int
        Fewer cells with a probability than this make the verdict `inconclusive`.
    chain_calibrator : Calibrator or None
        Applied to the combiner's log-likelihood ratio, given as a score.
    prior : float
        Probability of `generated` before looking, in (0, 1).
    real_below, generated_above : float
        On the probability rounded to 4 decimals; at or between them the verdict is `inconclusive`.
    """

    calibrators: Mapping[str, Calibrator]
    combiner: Combiner
    need: int = 1
    chain_calibrator: Calibrator | None = None
    prior: float = 0.5
    real_below: float = 0.35
    generated_above: float = 0.65


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain made ready to run.

    Parameters
    ----------
    name, digest : str
        Of the chain.
    views : mapping of name to tuple of Step
        `PLAIN` maps to the empty tuple.
    detectors : tuple of BoundDetector
    decision : Decision or None
        None where only scores are wanted, as in fitting.
    """

    name: str
    digest: str
    views: Mapping[str, tuple[Step, ...]]
    detectors: tuple[BoundDetector, ...]
    decision: Decision | None = field(default=None)

    @property
    def cells(self) -> tuple[tuple[str, str], ...]:
        """(detector id, view) of each cell, in the chain's order."""
        return tuple((detector.id, view) for detector in self.detectors for view in detector.views)

    @property
    def cell_names(self) -> tuple[str, ...]:
        """``detector/view`` of each cell, in the chain's order."""
        return tuple(f"{detector}/{view}" for detector, view in self.cells)

    def part(self, columns: Collection[int]) -> Plan:
        """Return the plan of some cells, given by their places in `cells`, without a decision."""
        wanted = {cell for place, cell in enumerate(self.cells) if place in columns}
        looks = {one.id: tuple(view for view in one.views if (one.id, view) in wanted) for one in self.detectors}
        bound = tuple(replace(one, views=looks[one.id]) for one in self.detectors if looks[one.id])
        return replace(self, detectors=bound, decision=None)
