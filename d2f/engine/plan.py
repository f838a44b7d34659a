"""What the engine hands to the judge: an image's facts and its cells, still without probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from d2f.api.rows import Cell, Failure
from d2f.api.stages import Calibrator, Combiner, Detector, Preprocessor
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog, canonical, stage_facts

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


def make_step(catalog: Catalog, name: str, options: Mapping[str, Any]) -> Step:
    """Build a preprocessor and the key that it is known by.

    The key is the same wherever the step was written (a chain file, a SPEC, a program), so that the step draws the
    same seeds and equal views are computed once.

    Parameters
    ----------
    catalog : Catalog
    name : str
        Of the preprocessor.
    options : mapping
        Plain data.

    Raises
    ------
    D2FError
        What `d2f.plugins.build.build` raises.
    """
    checked = read_options("preprocessor", catalog.find("preprocessor", name), options)
    stage = build(catalog, "preprocessor", name, options)
    plain = checked.model_dump(mode="json", by_alias=True)
    return Step(canonical(stage_facts(name, plain, getattr(stage, "weights", ()))), stage)


def step_seed(image_seed: int, place: int, key: str) -> int:
    """Return the 64-bit seed that a preprocessor is given.

    The first 8 bytes, big-endian, of BLAKE2b over ``"<image seed>/<place>/<key>"`` in UTF-8.

    Parameters
    ----------
    image_seed : int
        `ImageFile.seed`.
    place : int
        The step's position in its view, from 0, so that the same step laid twice draws anew.
    key : str
        `Step.key`.

    Examples
    --------
    >>> step_seed(7, 0, "noise sigma=2") == step_seed(7, 1, "noise sigma=2")
    False
    """
    digest = blake2b(f"{image_seed}/{place}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, slots=True)
class Scored:
    """One image's scores.

    Parameters
    ----------
    path : str
    sha256, width, height, format
        Of the file; None where it could not be read so far.
    cells : tuple of Cell
        One for each of `Plan.cells`, in that order: a score, an abstention or an error each. Empty
        where the file gave no image.
    failure : Failure or None
        Why the file gave no image.
    """

    path: str
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    cells: tuple[Cell, ...] = ()
    failure: Failure | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each cell, NaN where it has none."""
        return tuple(math.nan if cell.score is None else cell.score for cell in self.cells)
