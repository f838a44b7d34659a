"""The class itself: attributes, methods, options."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import Any

from d2f.plugins.requirements import missing
from d2f.plugins.stage_check import lacks
from d2f.testing.check import Failed, Skipped, check, fail_if
from d2f.testing.subject import Subject

LONGEST_SUMMARY = 100


@check("it has what its kind needs", gate=True)
def complete(subject: Subject) -> str:
    """Name, summary, methods, an options model; `requires` as requirements."""
    fail_if(lacks(subject.kind, subject.stage), "add what is named here; docs/reference/plugins.md has the contract")
    return ""


@check("its summary is one short sentence")
def summary(subject: Subject) -> str:
    """It stands in `d2f plugin list`."""
    text = subject.stage.summary
    if not text.endswith("."):
        raise Failed(f"'{text}'", "end it with a full stop: it stands as a sentence in `d2f plugin list`")
    if len(text) > LONGEST_SUMMARY:
        raise Failed(f"{len(text)} characters", f"say it in {LONGEST_SUMMARY}, the rest belongs in the docstring")
    return ""


@check("its options are documented")
def documented_options(subject: Subject) -> str:
    """Names as chain files write them, and words for what each takes."""
    from d2f.plugins.description import options_of

    found = []
    options = options_of(subject.stage)
    for option in options:
        if not re.fullmatch(r"[a-z][a-z0-9_]*", option.name):
            found.append(f"{option.name}: not in lower case with underscores")
        if "something else" in option.takes:
            found.append(f"{option.name}: its type has no words; `d2f plugin list` shows '{option.takes}'")
    fail_if(found, "use types that a chain file can hold: numbers, text, true or false, Literal, lists, mappings")
    return ", ".join(option.name for option in options) or "it has none"


@check("the given options are valid", gate=True)
def valid_options(subject: Subject) -> str:
    """Those that the check was called with, or the defaults where none were given."""
    from d2f.plugins.validation import findings, option_problem

    model = subject.stage.Options
    wrong = findings(model, dict(subject.options))
    if not wrong:
        # pydantic takes a default as it stands, so it is held to its field here.
        wrong = findings(model, model.model_validate(dict(subject.options)).model_dump(by_alias=True))
    if wrong and not subject.options and all(one.sort == "missing" for one in wrong):
        names = ", ".join(one.name for one in wrong)
        raise Skipped(f"no default for {names}; give options: check_stage({subject.stage.__name__}, {{…}})")
    fail_if(
        [option_problem(subject.kind, subject.name, one).message for one in wrong],
        "a default has to satisfy its own field; options have to satisfy the model",
    )
    return ""


@check("options survive a chain file")
def plain_options(subject: Subject) -> str:
    """Written as plain data and read again, they are the same: `d2f chain fit` and every digest rely on it."""
    options = subject.fitted
    plain = options.model_dump(mode="json", by_alias=True)
    fail_if(_not_plain(plain), "use types that a chain file can hold")
    again = type(options).model_validate(plain)
    if again.model_dump(mode="json", by_alias=True) != plain:
        raise Failed(
            f"{plain} reads back as {again.model_dump(mode='json', by_alias=True)}",
            "let validators return what they were given where it is already in its final form",
        )
    return ""


@check("what it requires is installed", gate=True)
def requirements(subject: Subject) -> str:
    """A stage that cannot be used here cannot be checked here."""
    lacking = missing(getattr(subject.stage, "requires", ()) or ())
    if lacking:
        raise Skipped("; ".join(f"'{text}' {fact}" for text, fact in lacking))
    return ", ".join(getattr(subject.stage, "requires", ()) or ()) or "it requires nothing"


def _not_plain(value: Any, path: str = "options") -> Iterator[str]:
    if isinstance(value, dict):
        for key, inner in value.items():
            yield from _not_plain(inner, f"{path}.{key}")
    elif isinstance(value, list):
        for index, inner in enumerate(value):
            yield from _not_plain(inner, f"{path}[{index}]")
    elif isinstance(value, float) and not math.isfinite(value):
        yield f"{path} is {value}, which no chain file may hold"
    elif value is not None and not isinstance(value, str | int | float | bool):
        yield f"{path} is a {type(value).__name__}"
