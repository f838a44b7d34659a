"""Whether a class that a plugin offers is a stage: what it lacks, in words for its author."""

from __future__ import annotations

import re
from typing import Any

from d2f.plugins.kinds import KINDS

NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*")


def lacks(kind: str, stage: Any) -> tuple[str, ...]:
    """Return everything that keeps `stage` from being a stage of this kind; empty where it is one."""
    if not isinstance(stage, type):
        return (f"hooks return classes; this is {_an(type(stage).__name__)}",)
    return (*_identity(stage), *_methods(kind, stage), *_options(stage), *_requires(stage))


def called(kind: str, stage: Any) -> str:
    """Return ``detector 'name'``, or the class's own name where the stage has none that is fit."""
    name = getattr(stage, "name", None)
    own = name if isinstance(name, str) and name else getattr(stage, "__qualname__", type(stage).__qualname__)
    return f"{kind} '{own}'"


def _identity(stage: type) -> list[str]:
    found = []
    name = getattr(stage, "name", None)
    if not isinstance(name, str):
        found.append("name: a string in kebab-case, what chain files call it")
    elif not NAME.fullmatch(name):
        found.append(f"name: '{name}' is not kebab-case (lower-case letters, digits and single hyphens)")
    summary = getattr(stage, "summary", None)
    if not isinstance(summary, str) or not summary.strip():
        found.append("summary: one line that says what it does")
    elif len(summary.splitlines()) > 1:
        found.append("summary: it has more than one line")
    return found


def _methods(kind: str, stage: type) -> list[str]:
    choices = KINDS[kind].methods
    missing = [[name for name in choice if not callable(getattr(stage, name, None))] for choice in choices]
    if not all(missing):
        return []
    # Of the sets that would do, complain of the one that the author seems to have meant.
    meant = min(missing, key=len)
    return [f"{name}(): a method of every {kind}" for name in meant]


def _options(stage: type) -> list[str]:
    from pydantic import BaseModel

    options = getattr(stage, "Options", None)
    if not (isinstance(options, type) and issubclass(options, BaseModel)):
        return ["Options: a pydantic model of its options, without fields where it has none"]
    config, found = options.model_config, []
    if not config.get("frozen"):
        found.append("Options: not frozen; write model_config = ConfigDict(extra='forbid', frozen=True)")
    if config.get("extra") != "forbid":
        found.append("Options: lets unknown options pass; write model_config = ConfigDict(extra='forbid', frozen=True)")
    bare = [name for name, field in options.model_fields.items() if not (field.description or "").strip()]
    return found + [f"Options.{name}: no description; write Field(description=…)" for name in bare]


def _requires(stage: type) -> list[str]:
    requires = getattr(stage, "requires", ())
    if not requires:
        return []
    if isinstance(requires, str) or not all(isinstance(one, str) for one in requires):
        return ["requires: a tuple of requirements such as ('torch>=2',)"]
    from packaging.requirements import InvalidRequirement, Requirement

    found = []
    for text in requires:
        try:
            Requirement(text)
        except InvalidRequirement:
            found.append(f"requires: '{text}' is not a requirement such as 'torch>=2'")
    return found


def _an(noun: str) -> str:
    return f"an instance of {noun}" if noun else "nothing"
