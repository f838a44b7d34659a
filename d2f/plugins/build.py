"""Stages constructed from plain options; pydantic's errors in plain sentences, each with its path; plain scalars.

A validator of a stage's options may raise ``ValueError("must be an odd number")``: what begins with
"must" is put after the option's name, anything else stands behind a colon.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from d2f.api.errors import D2FError, Exit, Place, Problem, nearest
from d2f.api.inputs import Input
from d2f.plugins.catalog import Catalog, canonical, code_digest, stage_facts
from d2f.plugins.entries import Origin, noun
from d2f.plugins.errors import Schema, at, blame, expected, schema_of, spelled_value

if TYPE_CHECKING:
    from pydantic import BaseModel
    from pydantic_core import ErrorDetails

Path: TypeAlias = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class OptionFinding:
    """One thing that is wrong with plain data."""

    sort: Literal["unknown", "missing", "value"]
    path: Path
    message: str = ""
    suggestion: str = ""
    choices: tuple[str, ...] = ()
    description: str = ""

    @property
    def name(self) -> str:
        """The path as a person writes it: ``detectors[2].use``."""
        return spelled(self.path)

    @property
    def notes(self) -> tuple[str, ...]:
        """The suggestion, else what there is to choose from, or what the key means."""
        if self.suggestion:
            return (f"did you mean '{self.suggestion}'?",)
        if self.sort == "unknown":
            return (f"known: {', '.join(self.choices)}" if self.choices else "there are none",)
        return (f"{self.name}: {self.description}",) if self.description else ()


def spelled(path: Sequence[str | int]) -> str:
    """Return a path as a person writes it.

    >>> spelled(("detectors", 2, "use"))
    'detectors[2].use'
    """
    text = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path)
    return text.removeprefix(".")


def option_findings(model: type[BaseModel], data: Any) -> tuple[OptionFinding, ...]:
    """Return everything that keeps `data` from being a `model`; empty where it is one."""
    from pydantic import ValidationError

    try:
        model.model_validate(data)
    except ValidationError as error:
        return explain(error.errors(include_url=False), model, data)
    return ()


def explain(errors: Sequence[ErrorDetails], model: type[BaseModel], data: Any) -> tuple[OptionFinding, ...]:
    """Return the findings that pydantic's errors are: one for each place, whatever branches a union has."""
    schema = schema_of(model) or {}
    found: dict[Path, OptionFinding] = {}
    for error in errors:
        finding = _finding(error, schema, data)
        found.setdefault(finding.path, finding)
    return tuple(found.values())


def option_problem(kind: str, stage: str, finding: OptionFinding) -> Problem:
    """Return a finding about a stage's option as a problem without a place."""
    sentence = {
        "unknown": f"unknown option '{finding.name}'",
        "missing": f"option '{finding.name}' is missing",
        "value": f"option '{finding.name}' {finding.message}" if finding.path else f"options: {finding.message}",
    }[finding.sort]
    return Problem("D2F114", f"{noun(kind)} '{stage}': {sentence}", notes=finding.notes)


def _finding(error: ErrorDetails, schema: Schema, data: Any) -> OptionFinding:
    # An item that is missing from a list is a list that is too short.
    key_matters = error["type"] in ("missing", "extra_forbidden") and isinstance(error["loc"][-1], str)
    path = _within(data, error["loc"], key_matters)
    here = at(schema, path) or {}
    description = str(here.get("description", "")) if path and "properties" not in here else ""
    if key_matters and error["type"] == "missing":
        return OptionFinding("missing", path, description=description)
    if key_matters:
        choices = tuple((at(schema, path[:-1]) or {}).get("properties", ()))
        return OptionFinding("unknown", path, suggestion=nearest(str(path[-1]), choices) or "", choices=choices)
    return _wrong_value(error, path, schema, here, description)


def _wrong_value(error: ErrorDetails, path: Path, schema: Schema, here: Schema, description: str) -> OptionFinding:
    value = error["input"]
    said = error["msg"].removeprefix("Value error, ").removeprefix("Assertion failed, ")
    if error["type"] not in ("value_error", "assertion_error"):
        takes = expected(schema, here) if here else ""
        said = f"must be {takes}" if takes and "something else" not in takes else f"is wrong: {said}"
        if error["type"] == "finite_number":
            said = "must be a finite number"
    elif not said.startswith("must "):
        # A validator that speaks of several options at once says all there is to say.
        return OptionFinding("value", path, f": {said}" if path else said, description=description)
    choices = [one for one in here.get("enum", ()) if isinstance(one, str)]
    near = (nearest(value, choices) or "") if isinstance(value, str) else ""
    return OptionFinding("value", path, f"{said}, not {spelled_value(value)}", near, description=description)


def _within(data: Any, loc: Path, key_matters: bool) -> Path:
    """Return `loc` without the names of a union's branches, which do not stand in the data."""
    path: list[str | int] = []
    for part in loc[:-1] if key_matters else loc:
        held = isinstance(data, Mapping) and part in data
        if held or (isinstance(data, list | tuple) and isinstance(part, int) and part < len(data)):
            path.append(part)
            data = data[part]
    return (*path, loc[-1]) if key_matters else tuple(path)


class OptionErrors(D2FError):
    """Wrong options of a stage; `findings` hold their paths within the options."""

    def __init__(self, kind: str, stage: str, findings: Sequence[OptionFinding]) -> None:
        self.findings = tuple(findings)
        super().__init__([option_problem(kind, stage, finding) for finding in findings])


def read_options(kind: str, stage: Any, options: Mapping[str, Any]) -> BaseModel:
    """Return `options` as an instance of the stage's own model."""
    from pydantic import ValidationError

    try:
        checked: BaseModel = stage.Options.model_validate(options)
    except ValidationError as error:
        found = explain(error.errors(include_url=False), stage.Options, options)
        raise OptionErrors(kind, stage.name, without_echoes(found)) from None
    return checked


def without_echoes(found: Sequence[OptionFinding]) -> list[OptionFinding]:
    """Return findings without the missing keys that were only misspelt, which another finding says."""
    misspelt = {(*finding.path[:-1], finding.suggestion) for finding in found if finding.sort == "unknown"}
    return [finding for finding in found if finding.sort != "missing" or finding.path not in misspelt]


@dataclass(frozen=True, slots=True)
class Built:
    """A stage, constructed; and its facts: name, options with their defaults, digests of its weights."""

    kind: str
    stage: Any
    facts: Mapping[str, Any]
    owner: Origin | None

    @property
    def key(self) -> str:
        """Its facts in one text: equal stages have equal keys, wherever they are written."""
        return canonical(self.facts)

    @property
    def identity(self) -> dict[str, Any]:
        """Its facts, the digest of its code and the version of its distribution: what results depend on."""
        version = self.owner.version if self.owner is not None else None
        return {**self.facts, "code": code_digest(self.stage), "version": version}


def construct(
    catalog: Catalog, kind: str, name: str, options: Mapping[str, Any], place: Place | None = None, **more: Any
) -> Built:
    """Find a stage, check its options and construct it, each once.

    `place` is where the stage is named, for errors of a broken plugin; `more` goes to the constructor (`members`).
    """
    stage = catalog.find(kind, name, place)
    checked, owner = read_options(kind, stage, options), catalog.owner(kind, name)
    where = owner.place if owner else None
    try:
        built = stage(checked, **more)
    except D2FError:
        raise
    except (Exception, SystemExit) as error:
        message = f"{noun(kind)} '{name}' could not be constructed"
        note = blame(error, stage.__module__.partition(".")[0])
        raise D2FError(Problem("D2F209", message, where, notes=(note,)), Exit.PLUGIN) from error
    if kind == "detector" and not isinstance(getattr(built, "wants", None), Input):
        message = f"detector '{name}' is not usable: it has no `wants`, which says what `score` is given"
        note = "set it to d2f.WholeImage(), d2f.Tiles(…) or d2f.FileBytes(), on the class or in __init__"
        raise D2FError(Problem("D2F203", message, where, notes=(note,)), Exit.PLUGIN)
    plain = checked.model_dump(mode="json", by_alias=True)
    facts = stage_facts(name, plain, getattr(built, "weights", ()))
    return Built(kind, built, facts, owner)


def build(catalog: Catalog, kind: str, name: str, options: Mapping[str, Any], **more: Any) -> Any:
    """Return a stage, constructed; see `construct`."""
    return construct(catalog, kind, name, options, **more).stage


# Plain scalars: the core schema of YAML 1.2.2, section 10.3.2, to the letter.
Scalar: TypeAlias = str | int | float | bool | None
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


def scalar_value(text: str) -> Scalar:
    """Return the value of a plain scalar: ``yes``, ``1_000`` and ``2026-11-21`` are text.

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
