"""What a stage needs to be installed, asked only when the stage is wanted."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version

from d2f.api.errors import Problem
from d2f.plugins.entry_points import Origin


def missing(requires: Sequence[str]) -> tuple[tuple[str, str], ...]:
    """Return (requirement, what is there instead) for each of `requires` that is not satisfied."""
    if not requires:
        return ()
    from packaging.requirements import Requirement

    found = []
    for text in requires:
        requirement = Requirement(text)
        if requirement.marker is not None and not requirement.marker.evaluate():
            continue
        installed = _installed(requirement.name)
        if installed is None:
            found.append((text, "is not installed"))
        elif not requirement.specifier.contains(installed, prereleases=True):
            found.append((text, f"is not satisfied by {requirement.name} {installed}"))
    return tuple(found)


def unmet(kind: str, name: str, origin: Origin | None, requires: Sequence[str]) -> Problem | None:
    """Return the problem that a stage's missing requirements are, with the command that installs them."""
    lacking = missing(requires)
    if not lacking:
        return None
    facts = [f"'{text}' {fact}" for text, fact in lacking]
    install = "pip install " + " ".join(shlex.quote(text) for text, _ in lacking)
    message = f"{kind} '{name}' is not usable: it requires what is not installed"
    return Problem("D2F206", message, origin.place if origin else None, notes=(*facts, f"to install: {install}"))


def _installed(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
