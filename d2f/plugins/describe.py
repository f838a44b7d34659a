"""What a plain scalar means: the core schema of YAML 1.2.2, section 10.3.2, to the letter.

So ``on``, ``yes``, ``1_000`` and ``2026-11-21`` are text, ``1e-4`` is a number and ``0o17`` is fifteen.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any, TypeAlias

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
        return tuple(_without_schema(name, field) for name, field in stage.Options.model_fields.items())
    required = set(schema.get("required", ()))
    return tuple(
        Option(name, expected(schema, field), field.get("description", ""), name in required, field.get("default"))
        for name in schema.get("properties", {})
        if (field := at(schema, (name,))) is not None
    )


def _without_schema(name: str, field: Any) -> Option:
    takes = getattr(field.annotation, "__name__", str(field.annotation))
    return Option(name, takes, field.description or "", field.is_required())


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
    lacking = [(problem, "") for problem in _requirements(catalog, origin, offers, strict)]
    hooks = catalog.registry.plugins.get(origin)
    state = "loaded" if hooks is not None else "not loaded"
    return Diagnosis(origin, state, tuple(hooks or ()), offers, lost, (*wrong, *lacking))


def _requirements(
    catalog: Catalog, origin: Origin, offers: Iterable[tuple[str, str]], strict: bool
) -> Iterable[Problem]:
    for kind, name in offers:
        problem = unmet(kind, name, origin, catalog.requires(kind, name))
        if problem is not None:
            yield problem if strict else replace(problem, severity="warning")


Value: TypeAlias = str | int | float | bool | None
NULL = frozenset({"", "~", "null", "Null", "NULL"})
BOOL = {"true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False}
INT = re.compile(r"[-+]?[0-9]+")
OCTAL = re.compile(r"0o[0-7]+")
HEX = re.compile(r"0x[0-9a-fA-F]+")
FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?")
INFINITY = re.compile(r"[-+]?\.(inf|Inf|INF)")
NAN = frozenset({".nan", ".NaN", ".NAN"})
DIGITS = 400
"""An integer of more digits is read as a floating-point number, which it is too large for."""


def scalar_value(text: str) -> Value:
    """Return the value of a plain scalar.

    >>> [scalar_value(text) for text in ("on", "1e-4", "0o17", "~", "007")]
    ['on', 0.0001, 15, None, 7]
    """
    if text in NULL:
        return None
    if text in BOOL:
        return BOOL[text]
    number = _number_of(text)
    return text if number is None else number


def _number_of(text: str) -> int | float | None:
    if INT.fullmatch(text):
        return int(text) if len(text) <= DIGITS else float(text)
    if OCTAL.fullmatch(text):
        return int(text[2:], 8)
    if HEX.fullmatch(text):
        return int(text[2:], 16)
    if FLOAT.fullmatch(text):
        return float(text)
    if INFINITY.fullmatch(text):
        return float(text.replace(".", "", 1))
    return float("nan") if text in NAN else None
