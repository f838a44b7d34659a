"""Plugins described: the options of their stages, and a diagnosis of each, for `d2f plugin`."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from d2f.api.errors import Problem
from d2f.plugins.catalog import Catalog
from d2f.plugins.entries import KINDS, Origin, found
from d2f.plugins.errors import at, expected, schema_of, spelled_value
from d2f.plugins.registry import WEIGHTS, unmet


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a stage."""

    name: str
    takes: str
    description: str
    required: bool
    default: Any = None

    @property
    def sentence(self) -> str:
        """Description, type and default in one line."""
        default = "required" if self.required else f"default {spelled_value(self.default)}"
        return f"{self.description.rstrip()} [{self.takes}; {default}]"


def options_of(stage: Any) -> tuple[Option, ...]:
    """Return the options of a stage class, in the order of its model."""
    schema = schema_of(stage.Options)
    if schema is None:
        fields = stage.Options.model_fields.items()
        types = {name: getattr(field.annotation, "__name__", str(field.annotation)) for name, field in fields}
        return tuple(Option(name, types[name], one.description or "", one.is_required()) for name, one in fields)
    required = set(schema.get("required", ()))
    return tuple(
        Option(name, expected(schema, field), field.get("description", ""), name in required, field.get("default"))
        for name in schema.get("properties", {})
        if (field := at(schema, (name,))) is not None
    )


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is known of a plugin."""

    origin: Origin
    state: str
    hooks: tuple[str, ...] = ()
    offers: tuple[tuple[str, str], ...] = ()
    lost: tuple[str, ...] = ()
    problems: tuple[tuple[Problem, str], ...] = ()

    @property
    def broken(self) -> bool:
        """Whether there is more than warnings; a plugin that was not loaded is broken, for whatever reason."""
        return self.state == "not loaded" or any(problem.severity == "error" for problem, _ in self.problems)

    def about(self, name: str) -> bool:
        """Whether `name` is the entry point's, the distribution's, or that of something it offers, or would."""
        return self.origin.answers_to(name) or name in (*self.lost, *(offered for _, offered in self.offers))


def diagnose(catalog: Catalog, *, strict: bool = False) -> list[Diagnosis]:
    """Return a diagnosis of every plugin that is installed."""
    return [_diagnosis(catalog, origin, strict) for origin, _ in found()]


def _diagnosis(catalog: Catalog, origin: Origin, strict: bool) -> Diagnosis:
    if origin in catalog.registry.left_out:
        return Diagnosis(origin, "left out by D2F_PLUGINS")
    offers = tuple(
        (kind, name)
        for kind in (*KINDS, WEIGHTS)
        for name in catalog.names(kind)
        if catalog.owner(kind, name) == origin
    )
    faults = [fault for fault in catalog.registry.faults if fault.origin == origin]
    lost = tuple(fault.stage for fault in faults if fault.stage is not None)
    wrong = [(fault.problem, fault.traceback) for fault in faults]
    unusable = [unmet(kind, name, origin, catalog.requires(kind, name)) for kind, name in offers]
    severity = "error" if strict else "warning"
    lacking = [(replace(problem, severity=severity), "") for problem in unusable if problem is not None]
    hooks = catalog.registry.plugins.get(origin)
    state = "loaded" if hooks is not None else "not loaded"
    return Diagnosis(origin, state, tuple(hooks or ()), offers, lost, (*wrong, *lacking))
