"""Fitted chain files: what was fitted is in them, what the author wrote stays; the digest of a chain."""

from __future__ import annotations

import hashlib
import importlib
import json
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
from d2f.plugins.catalog import Catalog, code_digest
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


# A chain's digest: the same however the file is written, another whenever results may differ.

SMALL = """\
d2f: 1
name: small
views:
  a: [{use: wiener, with: {window: 7}}]
  b: [{use: jpeg, with: {quality: 90}}]
detectors:
  - {id: n, use: noise-statistics, views: [plain, a]}
  - {use: resnet, views: [b]}
calibrate:
  n/plain: {use: platt, with: {slope: 2, bias: 0.5}}
  n/a: {use: platt, with: {slope: -1, bias: 0}}
  resnet/b: {use: platt, with: {slope: 1, bias: 0}}
combine:
  use: logistic
  with:
    weights: {n/plain: 1, n/a: 0.5, resnet/b: 2}
  need: 2
  calibrate: {use: platt, with: {slope: 1, bias: 0}}
verdict: {prior: 0.5, real_below: 0.3, generated_above: 0.7}
"""


def digest(text: str, folder: Path, catalog: Catalog | None = None) -> str:
    (folder / "chain.yaml").write_text(text, "utf-8")
    return load_chain(folder / "chain.yaml", catalog=catalog or stages.catalog()).digest


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


def test_what_is_hashed(tmp_path: Path) -> None:
    code = {"code": code_digest(stages.Platt), "version": None}

    def platt(slope: float, bias: float) -> object:
        return {"use": "platt", "with": {"slope": slope, "bias": bias}} | code

    document = {
        "d2f": 1,
        "views": {
            "a": [{"use": "wiener", "with": {"window": 7, "noise": None}} | code],
            "b": [{"use": "jpeg", "with": {"quality": 90, "subsampling": "4:2:0"}} | code],
        },
        "require": [],
        "evidence": [],
        "detectors": [
            {
                "id": "n",
                "views": ["plain", "a"],
                "use": "noise-statistics",
                "with": {"weights": "default", "scale": 1},
                "weights": [stages.SHA],
            }
            | code,
            {"id": "resnet", "views": ["b"], "use": "resnet", "with": {}} | code,
        ],
        "calibrate": {"n/plain": platt(2, 0.5), "n/a": platt(-1, 0), "resnet/b": platt(1, 0)},
        "combine": {
            "use": "logistic",
            "with": {"weights": {"n/plain": 1, "n/a": 0.5, "resnet/b": 2}, "bias": 0},
            "need": 2,
            "calibrate": platt(1, 0),
        }
        | code,
        "verdict": {"prior": 0.5, "real_below": 0.3, "generated_above": 0.7},
    }
    text = json.dumps(document, sort_keys=True, separators=(",", ":"))
    assert digest(SMALL, tmp_path) == hashlib.sha256(text.encode()).hexdigest()


PLUGIN = """\
from tests.unit.chain import stages


class Signed(stages.NoiseStatistics):
    name = "signed"

    def score(self, batch):
        return [+float(view.mean()) for view in batch]
"""


def test_a_detector_whose_sign_is_flipped_is_another_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(tmp_path)
    digests = []
    for code in (PLUGIN, PLUGIN, PLUGIN.replace("+float", "-float")):
        name = f"signed_plugin_{len(digests)}"
        # One file name each: the digest is of what the package's files hold, under their names in it.
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text(code, "utf-8")
        catalog = Catalog.of(*stages.STAGES, importlib.import_module(name).Signed)
        digests.append(digest("d2f: 1\nname: s\ndetectors: [{use: signed}]\n", tmp_path, catalog))
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("name: small", "name: other\ndescription: x\nimages: [y]"),
        ("d2f: 1\n", "# comment\nd2f: 0x1   # one\n"),
        ("{slope: 2, bias: 0.5}", "{bias: 5.0e-1, slope: 2.0}"),
        ("{slope: -1, bias: 0}", "{slope: -1.0, bias: -0.0}"),
        ("window: 7", 'window: 7, "noise": ~'),
        ("detectors:\n", "  c: [{use: wiener}]\ndetectors:\n"),
        ("weights: {n/plain: 1, n/a: 0.5, resnet/b: 2}", "bias: 0\n    weights: {resnet/b: 2, n/a: .5, n/plain: 1}"),
        ("{use: resnet, views: [b]}", "{id: resnet, use: resnet, views: [b], with: {}}"),
        ("real_below: 0.3", "real_below: 0.30, false_positive_rate: 0.01, miss_rate: 0.2"),
        ("verdict:", "fitted: {data: x, images: 7, date: 2026-11-21, d2f: 0.1.0}\nverdict:"),
    ],
)  # fmt: skip
def test_ways_of_writing_do_not_enter(tmp_path: Path, old: str, new: str) -> None:
    assert digest(changed(old, new), tmp_path) == digest(SMALL, tmp_path)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("window: 7", "window: 5"),
        ("window: 7", "window: 7, noise: 0"),
        ("quality: 90", "quality: 91"),
        ("[plain, a]", "[a, plain]"),
        ("use: noise-statistics,", "use: noise-statistics, with: {scale: 1.0000001},"),
        ("use: noise-statistics,", "use: noise-statistics, with: {weights: other},"),
        ("slope: 2,", "slope: 2.000001,"),
        ("n/a: 0.5", "n/a: 0.6"),
        ("need: 2", "need: 1"),
        ("  calibrate: {use: platt, with: {slope: 1, bias: 0}}\n", ""),
        ("prior: 0.5", "prior: 0.4"),
        ("real_below: 0.3", "real_below: 0.31"),
        ("generated_above: 0.7", "generated_above: 0.71"),
        ("  resnet/b: {use: platt, with: {slope: 1, bias: 0}}\n", ""),
    ],
)
def test_what_results_depend_on_enters(tmp_path: Path, old: str, new: str) -> None:
    assert digest(changed(old, new), tmp_path) != digest(SMALL, tmp_path)


def test_the_order_of_detectors_enters(tmp_path: Path) -> None:
    first, second = (line for line in SMALL.splitlines() if line.startswith("  - {"))
    swapped = SMALL.replace(first, "X").replace(second, first).replace("X", second)
    assert digest(swapped, tmp_path) != digest(SMALL, tmp_path)


def test_the_names_of_members_enter(tmp_path: Path) -> None:
    renamed = SMALL.replace("[plain, a]", "[plain, aa]").replace("n/a:", "n/aa:").replace("  a: [", "  aa: [")
    assert digest(renamed, tmp_path) != digest(SMALL, tmp_path)


def test_weights_files_enter(tmp_path: Path) -> None:
    class Retrained(stages.NoiseStatistics):
        sha256 = stages.OTHER

    retrained = Catalog.of(*(Retrained if one is stages.NoiseStatistics else one for one in stages.STAGES))
    assert digest(SMALL, tmp_path, retrained) != digest(SMALL, tmp_path)
