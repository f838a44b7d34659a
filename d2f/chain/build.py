"""Which way a calibrator reads a score, found by asking it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict

from d2f.api.errors import D2FError
from d2f.api.outcomes import Combination
from d2f.api.stages import Calibrator, Combiner
from d2f.chain.chain import chain_digest
from d2f.chain.model import ChainFile, Combine, DetectorUse, StageUse
from d2f.engine.plan import PLAIN, BoundDetector, Decision, FileCheck, Plan, Step
from d2f.plugins.build import build, read_options
from d2f.plugins.catalog import Catalog, canonical, code_digest, stage_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from d2f.api.inputs import Floats, Labels


class NoOptions(BaseModel):
    """None."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Unfitted:
    """A combiner that has nothing to say; a plan that holds it needs more members than it has."""

    name = "unfitted"
    summary = "Stands in for a combiner that has to be fitted first."

    Options = NoOptions

    def __init__(self, options: Any = None, members: Sequence[str] = ()) -> None:
        self.members = tuple(members)

    def combine(self, probabilities: Floats) -> Combination:
        """Return a ratio of 0 for every image."""
        import numpy as np

        return Combination(np.zeros(len(probabilities)), np.zeros(probabilities.shape))

    @classmethod
    def fit(
        cls, options: Any, members: Sequence[str], probabilities: Floats, labels: Labels, weights: Floats
    ) -> BaseModel:
        """Return the options it was given: there is nothing to fit."""
        fitted: BaseModel = options
        return fitted


def build_plan(file: ChainFile, catalog: Catalog, *, decision: bool = True) -> Plan:
    """Build what the engine runs."""
    builder = _Builder(catalog)
    views = {PLAIN: (), **{name: builder.steps(name, steps) for name, steps in file.views.items()}}
    detectors = tuple(builder.detector(index, one) for index, one in enumerate(file.detectors))
    require = builder.checks("precondition", "require", file.require)
    evidence = builder.checks("evidence", "evidence", file.evidence)
    plan = Plan(file.name, "", views, detectors, None, require, evidence, plugins=builder.plugins)
    if not decision:
        return plan
    made = builder.decision(file, plan.member_names)
    facts = {path: known | builder.code.get(path, {}) for path, known in builder.facts.items()}
    return replace(plan, digest=chain_digest(file, facts), decision=made)


class _Builder:
    """Builds stages and keeps the facts that the digest is made of."""

    def __init__(self, catalog: Catalog) -> None:
        self.catalog = catalog
        self.facts: dict[tuple[str | int, ...], dict[str, Any]] = {}
        self.code: dict[tuple[str | int, ...], dict[str, Any]] = {}
        self.plugins: dict[str, str] = {}

    def stage(self, kind: str, path: tuple[str | int, ...], use: StageUse, **more: Any) -> Any:
        options = read_options(kind, self.catalog.find(kind, use.use), use.with_)
        plain = options.model_dump(mode="json", by_alias=True)
        self.facts[path] = stage_facts(use.use, plain)
        stage = build(self.catalog, kind, use.use, use.with_, **more)
        owner = self.catalog.owner(kind, use.use)
        if owner is not None:
            self.plugins[owner.distribution] = owner.version
        self.facts[path] = stage_facts(use.use, plain, getattr(stage, "weights", ()))
        self.code[path] = {"code": code_digest(stage), "version": owner.version if owner is not None else None}
        return stage

    def detector(self, index: int, use: DetectorUse) -> BoundDetector:
        path: tuple[str | int, ...] = ("detectors", index)
        stage = self.stage("detector", path, use)
        return BoundDetector(use.id, stage, tuple(use.views), canonical(self.facts[path]))

    def steps(self, view: str, steps: list[StageUse]) -> tuple[Step, ...]:
        built = []
        for index, use in enumerate(steps):
            path = ("views", view, index)
            stage = self.stage("preprocessor", path, use)
            built.append(Step(canonical(self.facts[path]), stage))
        return tuple(built)

    def checks(self, kind: str, key: str, uses: list[StageUse]) -> tuple[FileCheck, ...]:
        stages = (self.stage(kind, (key, index), use) for index, use in enumerate(uses))
        return tuple(FileCheck(kind, use.use, stage) for use, stage in zip(uses, stages, strict=True))

    def decision(self, file: ChainFile, members: tuple[str, ...]) -> Decision:
        verdict, above = file.verdict, file.combine.calibrate
        combiner = self.combiner(file.combine, members)
        return Decision(
            {member: self.stage("calibrator", ("calibrate", member), use) for member, use in file.calibrate.items()},
            combiner,
            # No image has more members than there are: every verdict is `inconclusive`.
            len(members) + 1 if isinstance(combiner, Unfitted) else file.combine.need,
            self.stage("calibrator", ("combine", "calibrate"), above) if above is not None else None,
            verdict.prior,
            verdict.real_below,
            verdict.generated_above,
        )

    def combiner(self, combine: Combine, members: tuple[str, ...]) -> Combiner:
        """Build the combiner, or what stands in for one that has to be fitted first."""
        try:
            combiner: Combiner = self.stage("combiner", ("combine",), combine, members=members)
        except D2FError as error:
            if any(problem.code != "D2F127" for problem in error.problems):
                raise
            return Unfitted(members=members)
        return combiner


PROBES = tuple(sign * 10.0**power for sign in (-1, 1) for power in range(-3, 7))
"""Scores of every scale; a calibrator is asked at each."""


def direction(calibrator: Calibrator) -> int:
    """Return 1 where the probability of `generated` rises with the score, -1 where it falls, 0 where it does neither.

    A calibrator that raises counts as neither.
    """
    import numpy as np

    try:
        found = np.asarray(calibrator.probability(np.array(sorted(PROBES))), dtype=np.float64)
    except Exception:  # what it raises is told where it is used
        return 0
    steps = np.sign(np.diff(found))
    rises, falls = bool((steps > 0).any()), bool((steps < 0).any())
    return int(rises) - int(falls)
