"""JSON schemas in words, and the faults of plugins."""

from __future__ import annotations

import traceback
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from d2f.api.errors import Problem
from d2f.plugins.entries import Origin

if TYPE_CHECKING:
    from pydantic import BaseModel

Schema = Mapping[str, Any]
NOUNS = {
    "integer": ("a whole number", "whole numbers"),
    "number": ("a number", "numbers"),
    "boolean": ("true or false", "true or false"),
    "string": ("text", "texts"),
    "null": ("null", "nulls"),
    "object": ("a mapping", "mappings"),
    "array": ("a list", "lists"),
}
FORMATS = {"date": "a date such as 2026-11-21", "date-time": "a time such as 2026-11-21T10:00:00", "path": "a path"}


def schema_of(model: type[BaseModel]) -> Schema | None:
    """Return a model's JSON schema, None where it holds something that has none."""
    import warnings

    from pydantic.errors import PydanticUserError

    try:
        with warnings.catch_warnings():
            # A default that JSON cannot hold is left out of the schema; its author sees it in his own tests.
            warnings.simplefilter("ignore")
            return model.model_json_schema()
    except PydanticUserError:
        return None


def at(root: Schema, path: Sequence[str | int]) -> Schema | None:
    """Return the schema of what stands at `path`, None where the schema does not say."""
    here: Schema | None = root
    for part in path:
        here = _one_level_down(root, here, part) if here is not None else None
    return resolved(root, here) if here is not None else None


def resolved(root: Schema, schema: Schema) -> Schema:
    """Return `schema` with a reference at its top followed."""
    while "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def expected(root: Schema, schema: Schema) -> str:
    """Return what a schema accepts, in words: ``a whole number from 3 to 31``, ``one of 'centre', 'grid'``.

    >>> expected({}, {"type": "integer", "minimum": 3})
    'a whole number of at least 3'
    """
    schema = resolved(root, schema)
    if "const" in schema:
        return spelled_value(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(spelled_value(value) for value in schema["enum"])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        texts = list(dict.fromkeys(expected(root, branch) for branch in branches))
        return ", ".join(texts[:-1]) + " or " + texts[-1] if len(texts) > 1 else texts[0]
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    if schema.get("type") == "array":
        return "a list" + _how_many(schema, _plural(root, schema))
    noun = NOUNS.get(schema.get("type", ""), ("something else", ""))[0]
    pattern = f" that matches {schema['pattern']}" if schema.get("pattern") else ""
    return noun + _values(root, schema) + _bounds(schema) + _characters(schema) + pattern


def spelled_value(value: object) -> str:
    """Return a value as it would stand in a chain file, cut to 40 characters.

    >>> [spelled_value(value) for value in (None, True, "median", [1, 2])]
    ['null', 'true', "'median'", '[1, 2]']
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        text = "[" + ", ".join(spelled_value(one) for one in value) + "]"
        return text if len(text) <= 40 else "a list"
    text = repr(value)
    return text if len(text) <= 40 else text[:38] + "…" + text[-1]


def _one_level_down(root: Schema, schema: Schema, part: str | int) -> Schema | None:
    schema = resolved(root, schema)
    for branch in schema.get("anyOf") or schema.get("oneOf") or ():
        found = _one_level_down(root, branch, part)
        if found is not None:
            return found
    inside = schema.get("properties", {}).get(part, schema.get("additionalProperties"))
    if isinstance(part, int):
        fixed = schema.get("prefixItems", [])
        inside = fixed[part] if part < len(fixed) else schema.get("items")
    return inside if isinstance(inside, Mapping) else None


def _plural(root: Schema, schema: Schema) -> str:
    """Return what a list holds, in the plural, where it is all of one kind."""
    inner = [schema["items"]] if isinstance(schema.get("items"), Mapping) else schema.get("prefixItems", [])
    texts = {_plural_of(root, one) for one in inner}
    return texts.pop() if len(texts) == 1 else "items"


def _plural_of(root: Schema, schema: Schema) -> str:
    schema = resolved(root, schema)
    plural = NOUNS.get(schema.get("type", ""), ("", "items"))[1]
    return plural + _bounds(schema)


def _values(root: Schema, schema: Schema) -> str:
    inner = schema.get("additionalProperties")
    if not isinstance(inner, Mapping) or resolved(root, inner).get("type") in (None, "object"):
        return ""
    return f" to {_plural_of(root, inner)}"


def _how_many(schema: Schema, plural: str) -> str:
    least, most = schema.get("minItems"), schema.get("maxItems")
    if least is not None and least == most:
        return f" of {least} {plural}"
    if least is not None and most is not None:
        return f" of {least} to {most} {plural}"
    if least:
        return f" of {least} or more {plural}"
    return f" of at most {most} {plural}" if most is not None else f" of {plural}"


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        text = f" from {_in_digits(low)} to {_in_digits(high)}"
    else:
        limits = (("at least", low), ("above", above), ("at most", high), ("below", below))
        text = " and".join(f" {word} {_in_digits(limit)}" for word, limit in limits if limit is not None)
        text = f" of{text}" if text.startswith(" at") else text
    step = schema.get("multipleOf")
    return text + (f" in steps of {_in_digits(step)}" if step is not None else "")


def _in_digits(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _characters(schema: Schema) -> str:
    least, most = schema.get("minLength"), schema.get("maxLength")
    if least is not None and most is not None:
        return f" of {least} to {most} characters"
    if least is not None:
        return f" of at least {least} character{'s' if least != 1 else ''}"
    return f" of at most {most} characters" if most is not None else ""


@dataclass(frozen=True, slots=True)
class Fault:
    """A problem of a plugin."""

    problem: Problem
    origin: Origin | None
    kind: str | None = None
    stage: str | None = None
    traceback: str = ""

    def explains(self, kind: str, name: str) -> bool:
        """Whether this is why no stage `name` of this kind is there."""
        if self.kind not in (None, kind):
            return False
        if self.stage is not None:
            return self.stage == name
        return self.origin is not None and self.origin.answers_to(name)


def raised(code: str, message: str, origin: Origin, error: BaseException, kind: str | None = None) -> Fault:
    """Return the fault that an exception in a plugin's code is."""
    notes = (blame(error, origin.module), f"to see the traceback: d2f plugin check {origin.entry_point}")
    problem = Problem(code, message, origin.place, notes=notes)
    return Fault(problem, origin, kind, traceback="".join(traceback.format_exception(error)))


def blame(error: BaseException, module: str) -> str:
    """Return an exception in one line, with the last place in `module` (top-level) that it came through."""
    text = f"{type(error).__name__}: {error}".splitlines()[0].removesuffix(": ")
    where = last_frame(error, module)
    return f"{text}   at {where}" if where else text


def last_frame(error: BaseException, module: str) -> str:
    """Return ``file:line`` of the last place in `module` (top-level) that an exception came through, or nothing."""
    if isinstance(error, SyntaxError) and error.filename and module in _stems(error.filename):
        return f"{_short(error.filename, module)}:{error.lineno}"
    where = ""
    for frame, line in traceback.walk_tb(error.__traceback__):
        if str(frame.f_globals.get("__name__")).partition(".")[0] == module:
            where = f"{_short(frame.f_code.co_filename, module)}:{line}"
    return where


def _short(filename: str, module: str) -> str:
    """Return a path from the plugin's own folder on, as its author knows it."""
    parts, stems = PurePath(filename).parts, _stems(filename)
    if module not in stems:
        return filename
    start = len(stems) - 1 - stems[::-1].index(module)
    return "/".join(parts[start:])


def _stems(filename: str) -> list[str]:
    parts = list(PurePath(filename).parts)
    return [*parts[:-1], PurePath(filename).stem]
