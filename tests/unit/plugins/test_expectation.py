from __future__ import annotations

from typing import Any

import pytest
from pydantic import BaseModel, ConfigDict, Field

from d2f.plugins.build import option_findings
from d2f.plugins.describe import options_of
from d2f.plugins.errors import expected, schema_of, spelled_value


@pytest.mark.parametrize(
    ("schema", "words"),
    [
        ({"type": "integer"}, "a whole number"),
        ({"type": "integer", "minimum": 1, "maximum": 5}, "a whole number from 1 to 5"),
        ({"type": "number", "minimum": 0.5}, "a number of at least 0.5"),
        ({"type": "number", "minimum": 0, "exclusiveMaximum": 1}, "a number of at least 0 and below 1"),
        ({"type": "integer", "multipleOf": 2}, "a whole number in steps of 2"),
        ({"type": "string", "minLength": 1}, "text of at least 1 character"),
        ({"type": "string", "minLength": 2, "maxLength": 8}, "text of 2 to 8 characters"),
        ({"type": "string", "maxLength": 64}, "text of at most 64 characters"),
        ({"type": "array"}, "a list of items"),
        ({"type": "array", "items": {"type": "number", "minimum": 0}}, "a list of numbers of at least 0"),
        ({"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 3}, "a list of 1 to 3 texts"),
        ({"type": "array", "items": {"type": "string"}, "maxItems": 3}, "a list of at most 3 texts"),
        ({"type": "object", "additionalProperties": {"type": "number"}}, "a mapping to numbers"),
        ({"anyOf": [{"type": "integer"}, {"const": "auto"}, {"type": "null"}]}, "a whole number, 'auto' or null"),
        ({"$ref": "#/$defs/Odd"}, "a whole number from 1 to 9"),
        ({}, "something else"),
    ],
)
def test_words(schema: dict[str, Any], words: str) -> None:
    root = {"$defs": {"Odd": {"type": "integer", "minimum": 1, "maximum": 9}}}
    assert expected(root, schema) == words


@pytest.mark.parametrize(
    ("value", "text"), [(None, "null"), (False, "false"), (1e-4, "0.0001"), ("a", "'a'"), ({}, "a mapping")]
)
def test_values_as_in_a_chain_file(value: object, text: str) -> None:
    assert spelled_value(value) == text


def test_long_lists_are_not_shown() -> None:
    assert spelled_value(list(range(100))) == "a list"


def test_options_of_a_stage() -> None:
    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True)
        sigma: float = Field(ge=0, description="Standard deviation in grey levels.")
        back: bool = Field(False, description="And back again.")

    class Stage:
        pass

    Stage.Options = Options  # type: ignore[attr-defined]
    assert [option.sentence for option in options_of(Stage)] == [
        "Standard deviation in grey levels. [a number of at least 0; required]",
        "And back again. [true or false; default false]",
    ]


def test_options_that_have_no_schema() -> None:
    class Odd:
        pass

    class Options(BaseModel):
        model_config = ConfigDict(extra="forbid", frozen=True, arbitrary_types_allowed=True)
        odd: Odd | None = Field(None, description="Something else.")
        even: Odd = Field(description="Needed.")

    class Stage:
        pass

    Stage.Options = Options  # type: ignore[attr-defined]
    assert schema_of(Options) is None
    assert [(option.name, option.required) for option in options_of(Stage)] == [("odd", False), ("even", True)]
    (found, other) = option_findings(Options, {"odd": 3})
    assert found.message.startswith("is wrong: ")
    assert other.sort == "missing"
