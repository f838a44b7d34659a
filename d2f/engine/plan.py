"""A chain made ready to run, and an image's scores: what engine and judge share."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

from d2f.api.inputs import ImageFile, Note
from d2f.api.outcomes import Evidence
from d2f.api.rows import Failure, Member, Missing
from d2f.api.stages import Calibrator, Combiner, Detector, Preprocessor
from d2f.plugins.build import construct
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import noun

if TYPE_CHECKING:
    from d2f.images.read import Unread

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
class FileCheck:
    """A precondition or an evidence reader, built."""

    kind: str
    name: str
    stage: Any
    key: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    """From scores to a verdict.

    `stability`: small changes under which a verdict must hold; `stable_within`: verdicts within so many nats of a
    threshold are tried.
    """

    calibrators: Mapping[str, Calibrator]
    combiner: Combiner
    need: int = 1
    chain_calibrator: Calibrator | None = None
    prior: float = 0.5
    real_below: float = 0.35
    generated_above: float = 0.65
    stability: tuple[Step, ...] = ()
    stable_within: float = math.inf

    def margin(self, probability: float) -> float:
        """Return how far past its threshold a probability that has a verdict lies, in nats at least 0."""
        passed = self.generated_above if probability > self.generated_above else self.real_below
        bounded = [min(max(each, 1e-6), 1 - 1e-6) for each in (probability, passed)]
        own, threshold = (math.log(each) - math.log1p(-each) for each in bounded)
        return abs(own - threshold)

    @property
    def unfitted(self) -> bool:
        """Whether no member has a calibrator, so that no image can have a probability."""
        return not self.calibrators


@dataclass(frozen=True, slots=True)
class Plan:
    """A chain made ready to run.

    `allow_missing`: stages that cannot be loaded are left out and named in every row, instead of ending the run.
    `plugins`: version of each distribution that stages come from.
    """

    name: str
    digest: str
    views: Mapping[str, tuple[Step, ...]]
    detectors: tuple[BoundDetector, ...]
    decision: Decision | None = None
    require: tuple[FileCheck, ...] = ()
    evidence: tuple[FileCheck, ...] = ()
    allow_missing: bool = False
    plugins: Mapping[str, str] = field(default_factory=dict)

    @property
    def stages(self) -> Iterator[tuple[str, Any]]:
        """Every stage that is loaded before the first image, with its name in messages; no calibrator, no combiner."""
        for view, steps in self.views.items():
            for step in steps:
                yield f"preprocessor {step.stage.name!r} of view {view!r}", step.stage
        for detector in self.detectors:
            yield f"detector {detector.id!r}", detector.stage
        for check in (*self.require, *self.evidence):
            yield f"{noun(check.kind)} {check.name!r}", check.stage
        for step in self.decision.stability if self.decision is not None else ():
            yield f"preprocessor {step.stage.name!r} of `verdict.stability`", step.stage

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
    """Build a preprocessor with its key.

    The key is the same wherever the step was written (a chain file, a transform expression, a program), so that the
    step draws the same seeds and equal views are computed once.
    """
    built = construct(catalog, "preprocessor", name, options)
    return Step(built.key, built.stage)


def step_seed(image_seed: int, place: int, key: str) -> int:
    """Return the 64-bit seed that a preprocessor is given.

    The first 8 bytes, big-endian, of BLAKE2b over ``"<image seed>/<place>/<key>"`` in UTF-8.

    >>> step_seed(7, 0, "noise sigma=2") == step_seed(7, 1, "noise sigma=2")
    False
    """
    digest = blake2b(f"{image_seed}/{place}/{key}".encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big")


@dataclass(frozen=True, slots=True)
class Scored:
    """One image's scores and findings.

    `missing`: stages left out of the whole run; `lost`: preconditions and evidence readers that failed on this file;
    `refused`: a precondition failed, so no detector was run.
    """

    path: str
    sha256: str | None
    width: int | None
    height: int | None
    format: str | None
    members: tuple[Member, ...] = ()
    failure: Failure | None = None
    frames: int | None = None
    notes: tuple[Note, ...] = ()
    missing: tuple[Missing, ...] = ()
    lost: tuple[Missing, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    refused: bool = False

    @classmethod
    def of(cls, image: ImageFile | Unread) -> Scored:
        """Return what is known of an image before anything is run on it, without its notes."""
        facts = (image.path, image.sha256, image.width, image.height, image.format or None)
        if isinstance(image, ImageFile):
            return cls(*facts, frames=image.frames)
        return cls(*facts, failure=image.failure)

    @property
    def scores(self) -> tuple[float, ...]:
        """The score of each member, NaN where it has none."""
        return tuple(math.nan if member.score is None else member.score for member in self.members)
