"""The JSON schema of chain files agrees with the check, as far as a schema can."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from pydantic import Field

from d2f.chain.model import chain_schema
from d2f.chain.yaml import parse, text_of
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

CHAINS = Path(__file__).parents[2] / "chains"
GOOD = sorted((CHAINS / "good").glob("*.yaml"))

SCHEMA = chain_schema(stages.catalog())
VALIDATOR = Draft202012Validator(SCHEMA)

BEYOND = {
    # What no schema of the values can see: how the file is written,
    "07-key-twice", "09-two-documents", "10-directive",
    # numbers that JSON does not have,
    "18-not-finite",
    # what refers from one part to another,
    "26-unknown-view", "27-id-twice", "29-missing-member", "30-bytes-on-a-view",
    "31-thresholds-cross", "32-threshold-crosses-default", "33-need-too-large",
    # what only a stage knows,
    "38-requirement", "39-not-constructed", "40-unknown-weights", "41-other-weights",
    # and warnings.
    "34-view-never-used", "35-not-fitted", "36-fitted-in-part", "37-combiner-not-fitted", "49-thresholds-at-their-ends",
}  # fmt: skip


def data(chain: Path) -> Any:
    source, _ = parse(text_of(chain.name, chain.read_text("utf-8-sig", errors="replace")))
    return source.data if source is not None else None


def test_it_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert SCHEMA["$schema"] == "https://json-schema.org/draft/2020-12/schema"


@pytest.mark.parametrize("chain", GOOD, ids=lambda path: path.stem)
def test_good_chains_are_accepted(chain: Path) -> None:
    assert [error.message for error in VALIDATOR.iter_errors(data(chain))] == []


@pytest.mark.parametrize("chain", sorted((CHAINS / "bad").glob("*.yaml")), ids=lambda path: path.stem)
def test_bad_chains_are_rejected(chain: Path) -> None:
    value = data(chain)
    if value is not None and chain.stem != "22-not-utf-8":
        assert bool(list(VALIDATOR.iter_errors(value))) == (chain.stem not in BEYOND)


def with_stage(kind: str, stage: dict[str, Any]) -> dict[str, Any]:
    chain: dict[str, Any] = {"d2f": 1, "name": "a", "detectors": [{"use": "resnet"}]}
    return {
        "preprocessor": {**chain, "views": {"v": [stage]}},
        "detector": {**chain, "detectors": [stage]},
        "calibrator": {**chain, "calibrate": {"resnet/plain": stage}},
        "combiner": {**chain, "combine": stage},
        "chain calibrator": {**chain, "combine": {"calibrate": stage}},
    }[kind]


@pytest.mark.parametrize(
    ("kind", "stage", "good"),
    [
        ("preprocessor", {"use": "wiener"}, True),
        ("preprocessor", {"use": "wiener", "with": {"window": 7, "noise": None}}, True),
        ("preprocessor", {"use": "wiener", "with": {"window": 33}}, False),
        ("preprocessor", {"use": "wiener", "with": {"windw": 7}}, False),
        ("preprocessor", {"use": "jpeg"}, False),
        ("preprocessor", {"use": "jpeg", "with": {"quality": 90}}, True),
        ("preprocessor", {"use": "resnet"}, False),
        ("preprocessor", {"with": {}}, False),
        ("detector", {"use": "noise-statistics", "with": {"scale": 0}}, False),
        ("detector", {"use": "resnet", "views": []}, False),
        ("calibrator", {"use": "platt"}, False),
        ("calibrator", {"use": "platt", "with": {"slope": 1, "bias": 0}}, True),
        ("chain calibrator", {"use": "platt", "with": {"slope": 1}}, False),
        ("combiner", {"use": "logistic", "with": {"weights": {"resnet/plain": 1}}}, True),
        ("combiner", {"use": "logistic", "with": {"weights": {"resnet/plain": "1"}}}, False),
        # The combiner that is used where none is named has its options checked, too.
        ("combiner", {"with": {"power": 2}}, False),
        ("combiner", {"need": 0}, False),
    ],
)
def test_options(kind: str, stage: dict[str, Any], good: bool) -> None:
    assert VALIDATOR.is_valid(with_stage(kind, stage)) is good


def test_descriptions_help_while_writing() -> None:
    text = json.dumps(SCHEMA)
    assert "Side of the window, odd." in text
    assert "Views that the detector looks at" in text
    for name, key in SCHEMA["properties"].items():
        assert key.get("description"), name


def test_the_installed_stages_are_in_it() -> None:
    catalog = Catalog.discover()
    schema = chain_schema(catalog)
    Draft202012Validator.check_schema(schema)
    assert {one["const"] for one in schema["$defs"]["preprocessor"]["properties"]["use"]["oneOf"]} == set(
        catalog.names("preprocessor")
    )


class Inner(stages.Frozen):
    title: int = Field(description="An option that is called as a keyword of schemas is.")


class First(stages.Jpeg):
    name = "first"

    class Options(stages.Frozen):
        inner: Inner = Field(description="Nested.")


class Second(stages.Jpeg):
    name = "second"

    class Options(stages.Frozen):
        inner: dict[str, Inner] = Field(description="Nested, too.")


def test_nested_options_of_stages_do_not_meet() -> None:
    validator = Draft202012Validator(chain_schema(Catalog.of(First, Second, stages.Resnet)))
    first = with_stage("preprocessor", {"use": "first", "with": {"inner": {"title": 1}}})
    second = with_stage("preprocessor", {"use": "second", "with": {"inner": {"a": {"title": 1}}}})
    assert validator.is_valid(first)
    assert validator.is_valid(second)
    first["views"]["v"][0]["use"] = "second"
    assert not validator.is_valid(first)
