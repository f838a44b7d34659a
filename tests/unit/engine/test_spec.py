"""SPECs: what they mean, how they are written back, and what is said of those that mean nothing."""

from __future__ import annotations

from textwrap import dedent
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field

from d2f import D2FError, Exit, Problem
from d2f.chain.build import build_plan
from d2f.chain.model import ChainFile
from d2f.engine.plan import make_step
from d2f.engine.spec import format_spec, parse_spec, parts, read_value, write_value
from d2f.plugins.catalog import Catalog

CATALOG = Catalog.discover()


def written(spec: str) -> str:
    return format_spec(parse_spec(spec, CATALOG))


class AnyOptions(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    value: Any = Field(default=None, description="Anything.")
    other: Any = Field(default=0, alias="else", description="Anything else.")


class Keep:
    """A preprocessor that takes any value."""

    name = "keep"
    summary = "toy"
    Options = AnyOptions

    def __init__(self, options: AnyOptions) -> None:
        self.options = options

    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels


@pytest.mark.parametrize(
    ("spec", "canonical"),
    [
        ("wiener", "wiener:window=3"),
        ("wiener:7", "wiener:window=7"),
        ("wiener:window=7", "wiener:window=7"),
        ("wiener:window=[7,7]", "wiener:window=7"),
        ("wiener:3x5,noise=1e-4", "wiener:window=3x5,noise=0.0001"),
        ("wiener:noise=null,window=5", "wiener:window=5"),
        ("wiener:7+noise:2", "wiener:window=7+noise:sigma=2"),
        (" wiener : window = 7 + noise : 2.0 ", "wiener:window=7+noise:sigma=2"),
        ("noise:1e+1+noise:2E1", "noise:sigma=10+noise:sigma=20"),
        ("jpeg:60,subsampling=4:4:4", "jpeg:quality=60,subsampling=4:4:4"),
        ("jpeg:60,subsampling=4:2:0", "jpeg:quality=60"),
        ("jpeg:subsampling='4:2:2'", "jpeg:quality=90,subsampling=4:2:2"),
        ("resize:0.5,back=true", "resize:factor=0.5,back=true"),
        ("resize:longest=128,back=true", "resize:longest=128,back=true"),
        ("resize:size=640x480", "resize:size=640x480"),
        ("resize:0.8+jpeg:60", "resize:factor=0.8+jpeg:quality=60"),
        ("crop", "crop:fraction=0.8"),
        ("crop:224,at=random", "crop:size=224,at=random"),
        ("greyscale", "greyscale"),
        ("webp:lossless=true", "webp:quality=80,lossless=true"),
    ],
)
def test_a_spec_and_its_canonical_form(spec: str, canonical: str) -> None:
    assert written(spec) == canonical
    assert written(canonical) == canonical
    keys = [step.key for step in parse_spec(spec, CATALOG)]
    assert [step.key for step in parse_spec(canonical, CATALOG)] == keys


def test_the_stages_have_the_options() -> None:
    wiener, noise = parse_spec("wiener:3x5+noise:sigma=2", CATALOG)
    assert (wiener.stage.window, wiener.stage.noise) == ((3, 5), None)
    assert noise.stage.sigma == 2.0


def test_a_step_has_the_key_that_a_chain_file_gives_it() -> None:
    # And so the same seeds: `d2f attack` shows what a chain's view saw.
    views = {
        "denoised": [{"use": "wiener", "with": {"window": 7}}, {"use": "noise", "with": {"sigma": 2.0}}],
        "smaller": [{"use": "resize"}, {"use": "jpeg", "with": {"quality": 60}}],
    }
    file = ChainFile.model_validate(
        {"d2f": 1, "name": "a", "views": views, "detectors": [{"use": "noise-statistics", "views": list(views)}]}
    )
    plan = build_plan(file.model_copy(update={"detectors": []}), CATALOG, decision=False)
    for view, spec in (("denoised", "wiener:7+noise:2"), ("smaller", "resize:0.5+jpeg:60")):
        assert [step.key for step in plan.views[view]] == [step.key for step in parse_spec(spec, CATALOG)]


def test_options_without_a_short_form_go_there_and_back() -> None:
    catalog = Catalog.of(Keep)
    for value in (
        {"a": [1, {"b": "x,y"}]},
        [1, [2, 3]],
        "a+b,c",
        "it's",
        '"',
        "",
        " x ",
        "3x4",
        "null",
        "{}",
        [0.5, "]"],
    ):
        steps = (make_step(catalog, "keep", {"value": value, "else": value}),)
        again = parse_spec(format_spec(steps), catalog)
        assert again[0].stage.options.value == value
        assert again[0].stage.options.other == value
        assert [step.key for step in again] == [step.key for step in steps]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=9),
        lambda inner: st.lists(inner, max_size=3),
        max_leaves=6,
    )
)
def test_any_value_is_read_as_it_was_written(value: Any) -> None:
    text = write_value(value)
    assert read_value(text) == value
    # It stands in a list of options, in a list of steps, without being cut.
    assert parts(f"a={text},b={text}", ",") == [(0, len(text) + 2), (len(text) + 3, 2 * len(text) + 5)]
    assert len(parts(f"x:a={text}+y:b={text}", "+")) == 2


@given(st.text(alphabet="ab17.,+:=[]{}'\"x -e", max_size=25))
def test_no_text_does_more_than_be_refused(text: str) -> None:
    problems: tuple[Problem, ...] = ()
    try:
        assert parse_spec(text, Catalog.of(Keep))
    except D2FError as refused:
        problems = refused.problems
    for problem in problems:
        assert problem.code in ("D2F001", "D2F111", "D2F114")
        assert problem.place is not None
        assert 1 <= problem.place.column <= len(text) + 1


def refusal(spec: str, origin: str = "SPEC") -> str:
    with pytest.raises(D2FError) as caught:
        parse_spec(spec, CATALOG, origin)
    assert caught.value.exit is Exit.USAGE
    return str(caught.value)


def test_every_mistake_is_told_at_once_and_located() -> None:
    assert refusal("wienr:7+jpeg:quality=200,subsmpling=4:2:0+noise", "--attack") == dedent(
        """\
        error[D2F111]: unknown preprocessor 'wienr'
          --> --attack:1:1
        1 | wienr:7+jpeg:quality=200,subsmpling=4:2:0+noise
          | ^^^^^ no loaded plugin provides it
           = did you mean 'wiener'?
        error[D2F114]: preprocessor 'jpeg': option 'quality' must be a whole number from 1 to 100, not 200
          --> --attack:1:22
        1 | wienr:7+jpeg:quality=200,subsmpling=4:2:0+noise
          |                      ^^^
           = quality: Quality on libjpeg's scale, 1 to 100.
        error[D2F114]: preprocessor 'jpeg': unknown option 'subsmpling'
          --> --attack:1:26
        1 | wienr:7+jpeg:quality=200,subsmpling=4:2:0+noise
          |                          ^^^^^^^^^^
           = did you mean 'subsampling'?"""
    )


@pytest.mark.parametrize(
    ("spec", "column", "width", "words"),
    [
        ("", 1, 1, "a step is missing"),
        ("wiener++noise", 8, 1, "a step is missing"),
        ("wiener+", 8, 1, "a step is missing"),
        (":7", 1, 2, "a step is missing"),
        ("wiener:", 8, 1, "an option is missing"),
        ("jpeg:60,", 9, 1, "an option is missing"),
        ("wiener:window=7,jpeg:60", 17, 7, "steps are joined by +, not by a comma: …+jpeg:60"),
        ("jpeg:60,4:4:4", 9, 5, "only the first may leave its key out"),
        ("wiener:window", 8, 6, "option 'window' has no value"),
        ("wiener:7,window=5", 10, 6, "option 'window' is given twice"),
        ("greyscale:3", 11, 1, "preprocessor 'greyscale': it takes no options"),
        ("wiener:[3,5", 1, 11, "a bracket is not closed"),
        ("wiener:3]", 1, 9, "a bracket is closed that was not opened"),
        ("noise:sigma='2", 1, 14, "a quote is not closed"),
        ("wiener:noise={a}", 14, 3, "'{a}' is not a value"),
        ("wiener:[1]2", 8, 4, "text follows the bracket"),
        ("wiener:'1'2", 8, 4, "text follows the quote"),
        ("crop:64,fraction=0.5", 1, 4, "one of size and fraction is needed, not both"),
        ("median:window=4", 15, 1, "must be odd"),
        ("noise:sigma=", 13, 1, "option 'sigma' must be a number"),
    ],
)
def test_a_mistake_is_underlined(spec: str, column: int, width: int, words: str) -> None:
    with pytest.raises(D2FError) as caught:
        parse_spec(spec, CATALOG)
    assert len(caught.value.problems) == 1
    problem = caught.value.problems[0]
    assert problem.place is not None
    assert (problem.place.line, problem.place.column, problem.place.width) == (1, column, width)
    assert problem.place.source == spec
    assert words in str(problem)


def test_a_detector_is_no_preprocessor() -> None:
    assert "there is a detector 'whole'" in _refused_by(Catalog.of(Keep, Whole), "whole")


class Whole:
    name = "whole"
    summary = "toy"
    Options = AnyOptions

    def __init__(self, options: AnyOptions) -> None: ...

    def score(self, batch: Any) -> list[float]:
        return [0.0 for _ in batch]


def _refused_by(catalog: Catalog, spec: str) -> str:
    with pytest.raises(D2FError) as caught:
        parse_spec(spec, catalog)
    return str(caught.value)
