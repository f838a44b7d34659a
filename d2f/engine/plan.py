"""What the engine hands to the judge: an image's facts and its members, still without probabilities."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import Any

from d2f.api.rows import Failure, Member
from d2f.api.stages import Calibrator, Combiner, Detector, Preprocessor
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog, canonical, stage_facts

PLAIN = "plain"
"""The view that always exists: the decoded image itself."""


@dataclass(frozen=True, slots=True)
class Step:
    """One preprocessor of a view."""

    key: str
    stage: Preprocessor


@dataclass(frozen=True, slots=True)
class BoundDetector:
    """A detector, built, and the views that it looks at, in order."""

    id: str
    stage: Detector
    views: tuple[str, ...]
    key: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """From scores to a verdict."""

    calibrators: Mapping[str, Calibrator]
    combiner: Combiner
    need: int = 1
    chain_calibrator: Calibrator | None = None
    prior: float = 0.5
    real_below: float = 0.35
    generated_above: float = 0.65


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain made ready to run."""

    name: str
    digest: str
    views: Mapping[str, tuple[Step, ...]]
    detectors: tuple[BoundDetector, ...]
    decision: Decision | None = field(default=None)

    @property
    def members(self) -> tuple[tuple[str, str], ...]:
        """(detector id, view) of each member, in the chain's order."""
        return tuple((detector.id, view) for detector in self.detectors for view in detector.views)

    @property
    def member_names(self) -> tuple[str, ...]:
        """``detector/view`` of each member, in the chain's order."""
        return tuple(f"{detector}/{view}" for detector, view in self.members)

    def part(self, columns: Collection[int]) -> Plan:
        """Return the plan of some members, given by their places in `members`, without a decision."""
        wanted = {member for place, member in enumerate(self.members) if place in columns}
        looks = {one.id: tuple(view for view in one.views if (one.id, view) in wanted) for one in self.detectors}
        bound = tuple(replace(one, views=looks[one.id]) for one in self.detectors if looks[one.id])
        return replace(self, detectors=bound, decision=None)


def make_step(catalog: Catalog, name: str, options: Mapping[str, Any]) -> Step:
    """Build a preprocessor and the key that it is known by.

    The key is the same wherever the step was written (a chain file, a SPEC, a program), so that the step draws the
    same seeds and equal views are computed once.
    """
    checked = read_options("preprocessor", catalog.find("preprocessor", name), options)
    stage = build(catalog, "preprocessor", name, options)
    plain = checked.model_dump(mode="json", by_alias=True)
    return Step(canonical(stage_facts(name, plain, getattr(stage, "weights", ()))), stage)


def step_seed(image_seed: int, place: int, key: str) -> int:
    """Return the 64-bit seed that a preprocessor is given.

    The first 8 bytes, big-endian, of BLAKE2b over ``"<image seed>/<place>/<key>"`` in UTF-8.

    Examples
    --------
    >>> step_seed(7, 0, "noise sigma=2") == step_seed(7, 1, "noise sigma=2")
    False
    """
    digest = blake2b(f"{image_seed}/{place}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, slots=True)
class Scored:
    """One image's scores."""

    path: str
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    members: tuple[Member, ...] = ()
    failure: Failure | None = None

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each member, NaN where it has none."""
        return tuple(math.nan if member.score is None else member.score for member in self.members)
