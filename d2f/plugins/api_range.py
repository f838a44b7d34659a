"""The range of plugin API versions that a plugin says it was written for."""

from __future__ import annotations

from d2f.api.errors import Problem
from d2f.api.hooks import API_VERSION
from d2f.plugins.entry_points import Origin
from d2f.plugins.faults import Fault


def outside(plugin: object, origin: Origin) -> Fault | None:
    """Return the fault of a plugin whose ``d2f_api`` does not hold this API's version, None where it does."""
    stated = getattr(plugin, "d2f_api", None)
    if stated is None:
        return None
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    name = f"plugin '{origin.entry_point}'"
    try:
        if SpecifierSet(stated).contains(API_VERSION):
            return None
    except (InvalidSpecifier, TypeError, AttributeError):
        message = f"{name} states d2f_api = {stated!r}, which is no range of versions"
        return _skipped(message, origin, "it is skipped; write it like d2f_api = '>=1,<2'")
    message = f"{name} was written for plugin API {stated}, not {API_VERSION}"
    return _skipped(
        message, origin, f"it is skipped; install a version of {origin.distribution} that was written for {API_VERSION}"
    )


def _skipped(message: str, origin: Origin, note: str) -> Fault:
    return Fault(Problem("D2F205", message, origin.place, notes=(note,), severity="warning"), origin)
