"""What a field of a pydantic model takes, in words, read from its JSON schema.

The same words stand in errors, in `d2f plugin list` and in the reference.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

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
    from pydantic.errors import PydanticInvalidForJsonSchema

    try:
        return model.model_json_schema()
    except PydanticInvalidForJsonSchema:
        return None


def at(root: Schema, path: Sequence[str | int]) -> Schema | None:
    """Return the schema of what stands at `path`, None where the schema does not say."""
    here: Schema | None = root
    for part in path:
        here = _step(root, here, part) if here is not None else None
    return resolved(root, here) if here is not None else None


def resolved(root: Schema, schema: Schema) -> Schema:
    """Return `schema` with a reference at its top followed."""
    while "$ref" in schema:
        target = root["$defs"][schema["$ref"].rpartition("/")[2]]
        schema = {**target, **{key: value for key, value in schema.items() if key != "$ref"}}
    return schema


def expected(root: Schema, schema: Schema) -> str:
    """Return what a schema takes: ``a whole number from 3 to 31``, ``one of 'centre', 'grid'``.

    >>> expected({}, {"type": "integer", "minimum": 3})
    'a whole number of at least 3'
    """
    schema = resolved(root, schema)
    if "const" in schema:
        return shown(schema["const"])
    if "enum" in schema:
        return "one of " + ", ".join(shown(value) for value in schema["enum"])
    branches = schema.get("anyOf") or schema.get("oneOf")
    if branches:
        return " or ".join(dict.fromkeys(expected(root, branch) for branch in branches))
    if schema.get("format") in FORMATS:
        return FORMATS[schema["format"]]
    noun = NOUNS.get(schema.get("type", ""), ("something else", ""))[0]
    return noun + _items(root, schema) + _bounds(schema) + _length(schema) + _pattern(schema)


def shown(value: object) -> str:
    """Return a value as it would stand in a chain file, cut to 40 characters.

    >>> shown(None), shown(True), shown("median"), shown([1, 2])
    ('null', 'true', "'median'", 'a list')
    """
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple | set):
        return "a list"
    text = repr(value)
    return text if len(text) <= 40 else text[:38] + "…" + text[-1]


def _step(root: Schema, schema: Schema, part: str | int) -> Schema | None:
    schema = resolved(root, schema)
    for branch in schema.get("anyOf") or schema.get("oneOf") or ():
        found = _step(root, branch, part)
        if found is not None:
            return found
    inside = schema.get("properties", {}).get(part)
    if inside is None:
        inside = schema.get("items") if isinstance(part, int) else schema.get("additionalProperties")
    return inside if isinstance(inside, Mapping) else None


def _items(root: Schema, schema: Schema) -> str:
    inner = schema.get("items") or schema.get("additionalProperties")
    if not isinstance(inner, Mapping) or not inner:
        return ""
    inner = resolved(root, inner)
    plural = NOUNS.get(inner.get("type", ""), ("", ""))[1]
    return f" of {plural}{_bounds(inner)}" if plural else ""


def _bounds(schema: Schema) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    above, below = schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")
    if low is not None and high is not None:
        text = f" from {_plain(low)} to {_plain(high)}"
    else:
        limits = (("of at least", low), ("above", above), ("of at most", high), ("below", below))
        text = " and".join(f" {word} {_plain(limit)}" for word, limit in limits if limit is not None)
    step = schema.get("multipleOf")
    return text + (f" in steps of {_plain(step)}" if step is not None else "")


def _plain(number: float) -> str:
    return f"{number:g}" if isinstance(number, float) else str(number)


def _length(schema: Schema) -> str:
    for low, high, noun in (("minItems", "maxItems", "item"), ("minLength", "maxLength", "character")):
        least, most = schema.get(low), schema.get(high)
        if least is not None and least == most:
            return f" of {least} {noun}{'s' if least != 1 else ''}"
        if least is not None:
            return f" of at least {least} {noun}{'s' if least != 1 else ''}"
        if most is not None:
            return f" of at most {most} {noun}{'s' if most != 1 else ''}"
    return ""


def _pattern(schema: Schema) -> str:
    pattern = schema.get("pattern")
    return f" that matches {pattern}" if pattern else ""
