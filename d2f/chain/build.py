"""A chain file made into a plan."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from d2f.api.errors import D2FError, Problem
from d2f.api.inputs import WholeImage
from d2f.api.outcomes import Combination
from d2f.api.stages import Calibrator
from d2f.chain.model import ChainFile, StageUse
from d2f.engine.plan import PLAIN, BoundDetector, Decision, FileCheck, Plan, Step
from d2f.plugins.build import Built, construct
from d2f.plugins.catalog import Catalog, canonical, stage_facts

if TYPE_CHECKING:
    from d2f.api.inputs import Floats

KeyPath = tuple[str | int, ...]
StageOf = Callable[[str, KeyPath, StageUse], Built]
"""Gives the stage of a kind that is written at a path."""

COMBINE: KeyPath = ("combine",)


class Unfitted:
    """Takes the place of a combiner that has to be fitted first: every ratio is 0, and no image has enough scores."""

    name = "unfitted"

    def combine(self, probabilities: Floats) -> Combination:
        """Return a ratio of 0 for every image."""
        import numpy as np

        return Combination(np.zeros(len(probabilities)), np.zeros(probabilities.shape))


class Unusable:
    """Takes the place of a stage that cannot be constructed here; loading it raises the reason."""

    wants = WholeImage()

    def __init__(self, name: str, problem: Problem) -> None:
        self.name, self._problem = name, problem

    def load(self) -> None:
        """Raise why the stage is not usable."""
        raise D2FError(self._problem)


def placeholder(kind: str, use: str, options: Mapping[str, Any], stage: Any) -> Built:
    """Return what takes the place of a stage that cannot be constructed."""
    return Built(kind, stage, stage_facts(use, options), None)


def build_plan(file: ChainFile, catalog: Catalog, *, decision: bool = True) -> Plan:
    """Construct every stage of a chain and return what the engine runs."""
    members = [f"{one.id}/{view}" for one in file.detectors for view in one.views]

    def built(kind: str, path: KeyPath, use: StageUse) -> Built:
        more: dict[str, Any] = {"members": tuple(members)} if kind == "combiner" else {}
        try:
            return construct(catalog, kind, use.use, use.with_, **more)
        except D2FError as error:
            if any(problem.code != "D2F127" for problem in error.problems):
                raise
            return placeholder(kind, use.use, use.with_, Unfitted())

    return assemble(file, built, decision=decision)


def assemble(file: ChainFile, stage_of: StageOf, *, decision: bool = True) -> Plan:
    """Return the plan of a chain from its constructed stages."""
    built: dict[KeyPath, Built] = {}

    def get(kind: str, path: KeyPath, use: StageUse) -> Built:
        return built.setdefault(path, stage_of(kind, path, use))

    def steps(name: str, uses: Sequence[StageUse]) -> tuple[Step, ...]:
        made = (get("preprocessor", ("views", name, index), use) for index, use in enumerate(uses))
        return tuple(Step(one.key, one.stage) for one in made)

    def checks(kind: str, key: str, uses: Sequence[StageUse]) -> tuple[FileCheck, ...]:
        made = [(use.use, get(kind, (key, place), use)) for place, use in enumerate(uses)]
        return tuple(FileCheck(kind, name, one.stage, one.key) for name, one in made)

    detectors = []
    for index, use in enumerate(file.detectors):
        one = get("detector", ("detectors", index), use)
        detectors.append(BoundDetector(use.id, one.stage, tuple(use.views), one.key))
    return Plan(
        name=file.name,
        views={PLAIN: (), **{name: steps(name, uses) for name, uses in file.views.items()}},
        detectors=tuple(detectors),
        require=checks("precondition", "require", file.require),
        evidence=checks("evidence", "evidence", file.evidence),
        decision=_decision(file, get) if decision else None,
        digest=chain_digest(file, {path: one.identity for path, one in built.items()}) if decision else "",
        plugins={one.owner.distribution: one.owner.version for one in built.values() if one.owner is not None},
    )


def _decision(file: ChainFile, get: StageOf) -> Decision:
    verdict, above = file.verdict, file.combine.calibrate
    members = sum(len(one.views) for one in file.detectors)
    combiner = get("combiner", COMBINE, file.combine).stage
    return Decision(
        {member: get("calibrator", ("calibrate", member), use).stage for member, use in file.calibrate.items()},
        combiner,
        # No image has more members than there are: every verdict is `inconclusive`.
        members + 1 if isinstance(combiner, Unfitted) else file.combine.need,
        get("calibrator", (*COMBINE, "calibrate"), above).stage if above is not None else None,
        verdict.prior,
        verdict.real_below,
        verdict.generated_above,
        tuple(
            Step(one.key, one.stage)
            for place, use in enumerate(verdict.stability or ())
            for one in [get("preprocessor", ("verdict", "stability", place), use)]
        ),
        math.inf if verdict.stable_within is None else verdict.stable_within,
    )


def chain_digest(file: ChainFile, identities: Mapping[KeyPath, Mapping[str, Any]]) -> str:
    """Return the sha256, in hexadecimal, of everything in a chain that its results depend on.

    That is: the views that are scored, preconditions, evidence readers, the detectors and their order, the
    calibrations, the combination, the prior, the two thresholds and the small changes that verdicts are tried under; of
    each stage its name, options, weights, code and version. Not the name, the description, the images or what the chain
    was fitted on.

    `identities`: `Built.identity` of every stage, by its path in the file.
    """
    used = {view for detector in file.detectors for view in detector.views}
    verdict = file.verdict
    document: dict[str, Any] = {
        "d2f": file.d2f,
        "views": {
            name: [identities["views", name, index] for index in range(len(steps))]
            for name, steps in file.views.items()
            if name in used
        },
        "require": [identities["require", index] for index in range(len(file.require))],
        "evidence": [identities["evidence", index] for index in range(len(file.evidence))],
        "detectors": [
            {"id": detector.id, "views": detector.views, **identities["detectors", index]}
            for index, detector in enumerate(file.detectors)
        ],
        "calibrate": {member: identities["calibrate", member] for member in file.calibrate},
        "combine": {
            **identities[COMBINE],
            "need": file.combine.need,
            "calibrate": identities.get((*COMBINE, "calibrate")),
        },
        "verdict": {
            "prior": verdict.prior,
            "real_below": verdict.real_below,
            "generated_above": verdict.generated_above,
        },
    }
    if verdict.stability:  # a chain without it has the digest that it always had
        tried = [identities["verdict", "stability", place] for place in range(len(verdict.stability))]
        document["verdict"] |= {"stability": tried, "stable_within": verdict.stable_within}
    return hashlib.sha256(canonical(document).encode()).hexdigest()


PROBES = tuple(sign * 10.0**power for sign in (-1, 1) for power in range(-3, 7))
"""Scores of every scale, at which a calibrator's direction is found."""


def direction(calibrator: Calibrator) -> int:
    """Return 1 where the probability of `generated` rises with the score, -1 where it falls, 0 where it does neither.

    A calibrator that raises counts as neither.
    """
    import numpy as np

    try:
        found = np.asarray(calibrator.probability(np.array(sorted(PROBES))), dtype=np.float64)
    except Exception:  # reported where it is used
        return 0
    steps = np.sign(np.diff(found))
    rises, falls = bool((steps > 0).any()), bool((steps < 0).any())
    return int(rises) - int(falls)
