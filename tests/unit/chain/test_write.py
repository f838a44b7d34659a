"""Fitted chain files: what was fitted is in them, and what the author wrote stays."""

from __future__ import annotations

import math
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from d2f import D2FError
from d2f.chain.chain import load_chain
from d2f.chain.write import fitted_text, rounded_data
from d2f.chain.yaml import parse, text_of
from tests.unit.chain import stages

TRIAD = (Path(__file__).parents[2] / "chains" / "good" / "triad.yaml").read_text("utf-8")

AUTHOR = """\
# What our desk runs.
d2f: 1
name: desk   # ours

views:
  a: [ {use: wiener,  with: {window: 7}} ]   # spaced as I like it
detectors:
- {use: resnet, id: net, views: [plain, a]}
# The rule of the desk, do not touch.
verdict:
  # decided on Monday
  prior: 0.1   # base rate
  real_below: 0.2
  false_positive_rate: 0.01   # one in a hundred

# The end.
"""


def read(text: str) -> dict[str, Any]:
    source, problems = parse(text_of("a.yaml", text))
    assert problems == []
    assert source is not None
    return source.data


def platt(slope: float, bias: float) -> dict[str, Any]:
    return {"use": "platt", "with": {"slope": slope, "bias": bias}}


def test_a_chain_that_was_never_fitted() -> None:
    updates = {
        "fitted": {"data": "sha256:ab", "images": 30, "date": date(2026, 11, 21), "d2f": "0.1.0", "attacks": ["jpeg"]},
        "verdict": {"prior": 0.1, "real_below": 0.123456789, "generated_above": 0.9, "false_positive_rate": 0.01},
        "calibrate": {"net/plain": platt(1 / 3, -2e-7), "net/a": platt(-1.0, 12345678.9)},
        "combine": {
            "use": "logistic",
            "with": {"weights": {"net/plain": 0.9, "net/a": -0.05}, "bias": 0.0},
            "need": 2,
        },
    }
    assert (
        fitted_text(AUTHOR, updates)
        == """\
# What our desk runs.
d2f: 1
name: desk   # ours

views:
  a: [ {use: wiener,  with: {window: 7}} ]   # spaced as I like it
detectors:
- {use: resnet, id: net, views: [plain, a]}
# The rule of the desk, do not touch.
verdict:
  # decided on Monday
  prior: 0.1   # base rate
  real_below: 0.123457
  false_positive_rate: 0.01   # one in a hundred
  generated_above: 0.9

# The end.
calibrate:
  net/plain: {use: platt, with: {slope: 0.333333, bias: -2e-07}}
  net/a: {use: platt, with: {slope: -1.0, bias: 12345700.0}}
combine: {use: logistic, with: {weights: {net/plain: 0.9, net/a: -0.05}, bias: 0.0}, need: 2}
fitted: {data: sha256:ab, images: 30, date: 2026-11-21, d2f: 0.1.0, attacks: [jpeg]}
"""
    )


def test_a_chain_that_was_fitted_before() -> None:
    text = fitted_text(TRIAD, {"calibrate": {"net/denoised": platt(-0.5, 0.25), "net/plain": platt(2.0, 0.0)}})
    before, after = TRIAD.splitlines(), text.splitlines()
    assert after[: before.index("calibrate:")] == before[: before.index("calibrate:")]
    assert after[after.index("combine:") :] == before[before.index("combine:") :]
    assert after[after.index("calibrate:") + 1 : after.index("combine:")] == [
        "  net/plain: {use: platt, with: {slope: 2.0, bias: 0.0}}",
        "  net/denoised: {use: platt, with: {slope: -0.5, bias: 0.25}}  # a direction of its own",
    ]


def test_what_is_long_takes_lines() -> None:
    points = [index / 7 for index in range(40)]
    weights = {f"detector-{index}/plain": index / 10 for index in range(12)}
    text = fitted_text(
        "d2f: 1\n",
        {
            "calibrate": {"a/plain": {"use": "isotonic", "with": {"scores": points, "probabilities": points}}},
            "combine": {"use": "logistic", "with": {"weights": weights}},
        },
    )
    lines = text.splitlines()
    assert max(map(len, lines)) <= 110
    assert not any(line != line.rstrip() for line in lines)
    assert "      detector-11/plain: 1.1" in lines
    assert len(lines) < 40


def test_windows_line_ends_stay() -> None:
    text = fitted_text(AUTHOR.replace("\n", "\r\n"), {"combine": {"use": "vote"}})
    assert text.count("\r\n") == text.count("\n")
    assert text.endswith("combine: {use: vote}\r\n")


@pytest.mark.parametrize(
    "text", ["d2f: 1\nname: a", "d2f: 1\nname: a\n...\n", "---\nd2f: 1\nname: a\n", "{d2f: 1, name: a}"]
)
def test_other_ways_to_end_a_file(text: str) -> None:
    written = fitted_text(text, {"combine": {"use": "vote"}, "verdict": {"prior": 0.5}})
    assert read(written) == {"d2f": 1, "name": "a", "combine": {"use": "vote"}, "verdict": {"prior": 0.5}}


def test_no_chain_file() -> None:
    with pytest.raises(D2FError, match="D2F100"):
        fitted_text("a: [", {})


def test_the_written_file_has_the_digest_that_was_rounded(tmp_path: Path) -> None:
    """What runs is what is written: writing its own numbers once more changes nothing."""
    members = {"net/plain": platt(math.pi, -math.e), "net/a": platt(1e-9 / 3, 2e9 / 3)}
    combine = {"use": "logistic", "with": {"weights": {"net/plain": 1 / 3, "net/a": 2 / 3}}}
    verdict = {"real_below": 1 / 3, "generated_above": 2 / 3}
    text = fitted_text(AUTHOR, {"calibrate": members, "combine": combine, "verdict": verdict})
    again = fitted_text(text, {key: read(text)[key] for key in ("calibrate", "combine", "verdict")})
    digests = []
    for one in (text, again):
        (tmp_path / "a.yaml").write_text(one, "utf-8")
        digests.append(load_chain(tmp_path / "a.yaml", catalog=stages.catalog()).digest)
    assert again == text
    assert digests[0] == digests[1]
    assert read(text)["calibrate"]["net/plain"]["with"] == {"slope": 3.14159, "bias": -2.71828}


@pytest.mark.parametrize(
    ("value", "expected"),
    [(1 / 3, 0.333333), (123456789.0, 123457000.0), (-1e-20 / 3, -3.33333e-21), (0.1, 0.1), (7, 7), (True, True)],
)
def test_rounding(value: float, expected: float) -> None:
    assert rounded_data({"a": [value]}) == {"a": [expected]}
    assert type(rounded_data(value)) is type(value)


TRAPS = ["on", "yes", "1e-4", "0o17", "2026-11-21", "1:30", "~", "null", "0123", "1e100", ".5", "- a", "a: b", "#"]
TRAPS += [" x ", "'", "?a", "a,", "a:", "@", "\t", "x\ny"]
CHARACTERS = st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"])
TEXTS = st.text(CHARACTERS, max_size=12) | st.sampled_from(TRAPS)
KEYS = st.from_regex(r"[a-z0-9][a-z0-9_-]{0,8}(/[a-z]{1,5})?", fullmatch=True)
PLAIN = st.recursive(
    TEXTS | st.integers() | st.booleans() | st.none() | st.floats(allow_nan=False, allow_infinity=False),
    lambda inner: st.lists(inner, max_size=15) | st.dictionaries(KEYS, inner, max_size=6),
    max_leaves=12,
)


@settings(deadline=None, max_examples=25)
@given(
    st.dictionaries(st.sampled_from(["calibrate", "combine", "verdict", "fitted"]), PLAIN),
    st.sampled_from([AUTHOR, TRIAD]),
)
def test_anything_can_be_written(updates: dict[str, Any], original: str) -> None:
    text = fitted_text(original, updates)
    assert read(text) == read(original) | rounded_data(updates)
    kept = [line for line in original.splitlines() if line.startswith(("#", "d2f", "name", "  a:", "- ", "  - "))]
    assert [line for line in text.splitlines() if line in kept] == kept
