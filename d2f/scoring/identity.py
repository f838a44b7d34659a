"""What a kept score depends on, besides the image: equal keys, equal scores."""

from __future__ import annotations

from collections.abc import Sequence

from d2f.engine.plan import Plan, Step
from d2f.plugins.code import code_digest
from d2f.plugins.identity import canonical
from d2f.scoring.attack import Attack
from d2f.version import __version__


def cell_keys(plan: Plan) -> list[str | None]:
    """Return, for each cell, what identifies it: detector, options, weights, the view's steps, their code, d2f.

    None where something has no identity: a detector bound by hand, or a stage without a file of code.
    """
    keys: list[str | None] = []
    for detector in plan.detectors:
        code = code_digest(detector.stage)
        for view in detector.views:
            steps = _steps(plan.views[view])
            named = bool(detector.key) and code is not None and steps is not None
            keys.append(canonical([__version__, detector.key, code, steps]) if named else None)
    return keys


def copy_keys(brought: str, attacks: Sequence[Attack]) -> list[str | None]:
    """Return, for the clean copy and that of each attack, what identifies it: how it was brought, name, steps, d2f.

    Parameters
    ----------
    brought : str
        Such as `d2f.scoring.protocol.fitting_key`.
    attacks : sequence of Attack
    """
    keys: list[str | None] = [canonical([__version__, brought])]
    for attack in attacks:
        steps = _steps(attack.steps)
        # The name as well: the copy's digest, and so the seeds of views, are made of it.
        keys.append(None if steps is None else canonical([__version__, brought, attack.name, steps]))
    return keys


def _steps(steps: Sequence[Step]) -> list[list[str]] | None:
    found = []
    for step in steps:
        code = code_digest(step.stage)
        if code is None:
            return None
        found.append([step.key, code])
    return found
