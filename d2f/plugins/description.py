"""A stage's options in words, read from its own model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from d2f.plugins.expectation import at, expected, schema_of, shown


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a stage.

    Parameters
    ----------
    name : str
    takes : str
        Such as ``a whole number from 3 to 31``.
    description : str
    required : bool
        Whether there is no default.
    default : object
        Plain data, as in a chain file; None where there is none.
    """

    name: str
    takes: str
    description: str
    required: bool
    default: Any = None

    @property
    def sentence(self) -> str:
        """Description, type and default in one line."""
        default = "required" if self.required else f"default {shown(self.default)}"
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
