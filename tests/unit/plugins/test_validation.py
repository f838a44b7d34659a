"""Options validated: what is expected, in words, and plain scalars under YAML 1.2.2's core schema."""

from __future__ import annotations

import datetime
import json
import math
from typing import Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from d2f import D2FError, Exit
from d2f.plugins.build import build, option_findings, read_options, scalar_value, spelled
from d2f.plugins.catalog import Catalog
from d2f.plugins.describe import options_of
from d2f.plugins.errors import expected, schema_of, spelled_value


class Step(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    use: str = Field(description="Name of a stage.")


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    window: int = Field(3, ge=3, le=31, description="Side of the window.")
    noise: float | Literal["auto"] = Field("auto", description="Variance of the noise.")
    pick: Literal["centre", "grid"] = Field("grid", description="Where tiles are taken.")
    size: tuple[int, int] | None = Field(None, description="Width and height.")
    names: list[str] = Field(["a"], min_length=1, description="Names.")
    power: float = Field(1.0, gt=0, le=8, allow_inf_nan=False, description="Exponent.")
    deep: dict[str, Step] = Field({}, description="Steps by name.")
    day: datetime.date = Field(datetime.date(2026, 1, 1), description="When.")
    exact: bool = Field(False, description="Whether to be exact.")
    label: str = Field("x", pattern="^[a-z]+$", description="A label.")
    low: float = Field(0.0, description="Lower end.")
    high: float = Field(1.0, description="Upper end.")

    @field_validator("window")
    @classmethod
    def _odd(cls, value: int) -> int:
        if value % 2 == 0:
            raise ValueError("must be an odd whole number of at least 3")
        return value

    @model_validator(mode="after")
    def _ordered(self) -> Options:
        if self.low >= self.high:
            raise ValueError("`low` has to be below `high`")
        return self


class Needy(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)
    sigma: float = Field(description="Standard deviation.")


class Stage:
    name = "soft"
    summary = "Does nothing."
    Options = Options

    def __init__(self, options: Options, **more: Any) -> None:
        self.options, self.more = options, more

    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels


def sentences(data: Any, model: type[BaseModel] = Options) -> list[str]:
    return [f"{found.sort} {found.name} {found.message}".rstrip() for found in option_findings(model, data)]


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"window": 4}, "window must be an odd whole number of at least 3, not 4"),
        ({"window": 2}, "window must be a whole number from 3 to 31, not 2"),
        ({"window": 3.5}, "window must be a whole number from 3 to 31, not 3.5"),
        ({"window": None}, "window must be a whole number from 3 to 31, not null"),
        ({"noise": "much"}, "noise must be a number or 'auto', not 'much'"),
        ({"pick": "everywhere"}, "pick must be one of 'centre', 'grid', not 'everywhere'"),
        ({"size": 3}, "size must be a list of 2 whole numbers or null, not 3"),
        ({"size": [3]}, "size must be a list of 2 whole numbers or null, not [3]"),
        ({"size": [3, "b"]}, "size[1] must be a whole number, not 'b'"),
        ({"names": []}, "names must be a list of 1 or more texts, not []"),
        ({"names": [True]}, "names[0] must be text, not true"),
        ({"power": 0}, "power must be a number above 0 and at most 8, not 0"),
        ({"power": float("nan")}, "power must be a finite number, not nan"),
        ({"deep": {"a": {"use": 3}}}, "deep.a.use must be text, not 3"),
        ({"deep": []}, "deep must be a mapping, not []"),
        ({"day": "soon"}, "day must be a date such as 2026-11-21, not 'soon'"),
        ({"exact": "perhaps"}, "exact must be true or false, not 'perhaps'"),
        ({"label": "A"}, "label must be text that matches ^[a-z]+$, not 'A'"),
        ({"label": "A" * 60}, f"label must be text that matches ^[a-z]+$, not '{'A' * 37}…'"),
        ({"low": 2}, "`low` has to be below `high`"),
    ],
)
def test_a_wrong_value_is_one_plain_sentence(data: dict[str, Any], sentence: str) -> None:
    assert [" ".join(text.split()) for text in sentences(data)] == [f"value {sentence}"]


def test_unknown_and_missing_keys() -> None:
    found = option_findings(Options, {"windw": 3, "deep": {"a": {}, "b": {"use": "x", "with": 1}}})
    assert [(one.sort, one.path, one.suggestion) for one in found] == [
        ("missing", ("deep", "a", "use"), ""),
        ("unknown", ("deep", "b", "with"), ""),
        ("unknown", ("windw",), "window"),
    ]
    assert found[0].notes == ("deep.a.use: Name of a stage.",)
    assert found[1].notes == ("known: use",)
    assert found[2].notes == ("did you mean 'window'?",)


def test_near_miss_of_a_value() -> None:
    (found,) = option_findings(Options, {"pick": "gird"})
    assert found.suggestion == "grid"


def test_not_a_mapping_at_all() -> None:
    (found,) = option_findings(Options, [1])
    assert (found.path, found.message) == ((), "must be a mapping, not [1]")


def test_nothing_wrong() -> None:
    assert option_findings(Options, {"window": 5}) == ()


def test_paths_as_a_person_writes_them() -> None:
    assert spelled(("views", "soft", 0, "with", "size", 1)) == "views.soft[0].with.size[1]"


class TestBuild:
    def test_gives_the_stage_its_options(self) -> None:
        stage = build(Catalog.of(Stage), "preprocessor", "soft", {"window": 7}, members=("a/plain",))
        assert stage.options == Options(window=7)
        assert stage.more == {"members": ("a/plain",)}

    def test_all_wrong_options_at_once(self) -> None:
        with pytest.raises(D2FError) as caught:
            build(Catalog.of(Stage), "preprocessor", "soft", {"window": 4, "windw": 3})
        assert str(caught.value) == "\n".join(
            [
                "error[D2F114]: preprocessor 'soft': option 'window' must be an odd whole number of at least 3, not 4",
                "   = window: Side of the window.",
                "error[D2F114]: preprocessor 'soft': unknown option 'windw'",
                "   = did you mean 'window'?",
            ]
        )
        assert caught.value.exit == Exit.USAGE

    def test_a_missing_option_says_what_it_is(self) -> None:
        class Gauss(Stage):
            Options = Needy  # type: ignore[assignment]

        with pytest.raises(D2FError) as caught:
            read_options("preprocessor", Gauss, {})
        assert str(caught.value) == (
            "error[D2F114]: preprocessor 'soft': option 'sigma' is missing\n   = sigma: Standard deviation."
        )

    def test_options_that_disagree(self) -> None:
        with pytest.raises(D2FError, match="preprocessor 'soft': options: `low` has to be below `high`"):
            read_options("preprocessor", Stage, {"low": 3})

    def test_a_constructor_that_raises(self) -> None:
        class Fragile(Stage):
            def __init__(self, options: Options) -> None:
                raise ZeroDivisionError("division by zero")

        with pytest.raises(D2FError) as caught:
            build(Catalog.of(Fragile), "preprocessor", "soft", {})
        first, second = str(caught.value).splitlines()
        assert first == "error[D2F209]: preprocessor 'soft' could not be constructed"
        assert second.startswith("   = ZeroDivisionError: division by zero")
        assert caught.value.exit == Exit.PLUGIN

    def test_a_detector_says_what_it_wants(self) -> None:
        class Mute(Stage):
            apply = None  # type: ignore[assignment]

            def score(self, batch: Any) -> list[float]:
                return []

        with pytest.raises(D2FError) as caught:
            build(Catalog.of(Mute), "detector", "soft", {})
        assert str(caught.value).startswith("error[D2F203]: detector 'soft' is not usable: it has no `wants`")
        assert caught.value.exit == Exit.PLUGIN


# What is expected, in words.


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


# Plain scalars under YAML 1.2.2's core schema, table 10.3.2, and what YAML 1.1 made of them.


@pytest.mark.parametrize(
    ("text", "value"),
    [
        *((text, None) for text in ("", "~", "null", "Null", "NULL")),
        *((text, True) for text in ("true", "True", "TRUE")),
        *((text, False) for text in ("false", "False", "FALSE")),
        ("0", 0),
        ("-7", -7),
        ("+12", 12),
        ("007", 7),
        ("0o17", 15),
        ("0xfF", 255),
        ("1.", 1.0),
        (".5", 0.5),
        ("-.5e+3", -500.0),
        ("1e-4", 1e-4),
        ("1E3", 1000.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("+.Inf", math.inf),
    ],
)
def test_values(text: str, value: Any) -> None:
    assert scalar_value(text) == value
    assert type(scalar_value(text)) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number(text: str) -> None:
    assert math.isnan(float(scalar_value(text)))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "text",
    ["on", "off", "yes", "no", "y", "n", "1_000", "1:30", "2026-11-21", "0b11", "017o", "-0x1", "nULL", "tRUE", "inf",
     "nan", ".", "+", "-", "e5", "1e", "1e5.0", "0x", "0o8", "٣", "1 ", "½", "--1"],
)  # fmt: skip
def test_text(text: str) -> None:
    assert scalar_value(text) == text


@given(st.integers() | st.floats(allow_nan=False, allow_infinity=False))
def test_json_numbers(number: float) -> None:
    assert scalar_value(json.dumps(number)) == number


@pytest.mark.parametrize("digits", [4000, 5000, 100_000])
def test_an_endless_integer_is_too_large_for_any_range(digits: int) -> None:
    assert scalar_value("9" * digits) == math.inf
