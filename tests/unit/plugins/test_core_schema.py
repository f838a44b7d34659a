"""Plain scalars under YAML 1.2.2's core schema, table 10.3.2, and what YAML 1.1 made of them."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from d2f.plugins.build import scalar_value


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
