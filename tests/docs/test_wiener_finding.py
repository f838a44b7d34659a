"""The page of the Wiener finding: its making, its figures those of the benches, its sentences for every outcome."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import make_wiener_finding as finding
import numpy as np
import pytest
from make_wiener_finding import CLEAN, COPIES, FILTERED, NOISY, Benched
from PIL import Image

from d2f.chain.chain import load_chain
from d2f.evaluate.bench import read_result

OTHER = """\
d2f: 1
name: other
detectors: [{id: noise, use: noise-statistics}]
calibrate: {noise/plain: {use: platt, with: {slope: 0.5, bias: 0.3}}}
verdict: {real_below: 0.5, generated_above: 0.5}
"""
SMALL = OTHER.replace("other", "small").replace("noise-statistics", "resnet")
FACTS = {"images": "12", "collections": "3", "epoch": "2"}


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A few pictures, two chains and the manifests in the working folder."""
    monkeypatch.chdir(tmp_path)
    random, rows = np.random.default_rng(0), ["path,label,collection"]
    Path("set").mkdir()
    for number in range(12):
        ramp = np.linspace(60, 190, 240)[None, :, None] + random.uniform(-20, 20, 3)
        pixels = ramp + random.normal(0, 2 if number % 2 else 6, (240, 240, 1))
        Image.fromarray(np.clip(pixels, 0, 255).astype(np.uint8)).save(f"set/{number}.png")
        rows.append(f"../set/{number}.png,{('real', 'generated')[number % 2]},c{number // 2 % 3}")
    for name in ("founder/training", "founder/same", "founder/turned", "set/manifest"):
        Path(name).parent.mkdir(exist_ok=True)
        Path(f"{name}.csv").write_text("\n".join(rows) + "\n", "utf-8")
    Path("small.yaml").write_text(SMALL, "utf-8")
    Path("few.yaml").write_text(OTHER.replace("other", "few"), "utf-8")
    Path("other.yaml").write_text(OTHER, "utf-8")
    return tmp_path


def make(*more: str) -> int:
    options = ["--own", "small.yaml", "few.yaml", "--names", "other.yaml", "-o", "page.md"]
    return finding.main(["founder", "set", "measured", *options, *more])


def test_one_command_benches_once_and_writes_the_page(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    finding.bench(["other.yaml"], Path("set"), Path("measured"), COPIES.values())
    assert make() == 2
    assert "'measured' does not serve: it was made under the protocol as-found" in capsys.readouterr().err
    result = read_result("measured")
    Path("measured/bench.json").write_text(json.dumps({**result, "protocol": "whole"}), "utf-8")
    made = Path("founder/others/bench.json").stat().st_mtime_ns
    assert make() == 0
    assert Path("founder/others/bench.json").stat().st_mtime_ns == made
    page = Path("page.md").read_text("utf-8")
    assert str(place) not in page
    told = " ".join(page.split())
    assert re.search(
        r"learnt from [\d,]+ images of \d+ collections: [\d,]+ tiles, as many of each label, in \d+ e", told
    )
    rows = {name: page.count(f"\n| {name} | 12 | ") for name, _ in finding.PARTS.values()}
    assert rows == {
        "trained on": 2,
        "same sources, held out": 6,
        "the other label of the same collections": 2,
        "other sources": 6,
    }
    assert "## Noise statistics in its place" in page
    assert "fitted to 1434 images of 120 collections without laundering" in told
    assert page.count("\n| other | ") == 3
    figures = read_result("founder/same")["systems"][0]["figures"]["none"]
    assert f"| same sources, held out | 12 | clean | {100 * figures['true_positive'][0]:.1f} %" in page
    named = ("small", "few", "other")
    digests = ", ".join(f"`{name}` {load_chain(f'{name}.yaml').digest[:12]}" for name in named)
    assert digests in told

    assert finding.main(["founder", "set", "--own", "small.yaml", "few.yaml", "-o", "page.md"]) == 0
    assert "## The chains" not in Path("page.md").read_text("utf-8")
    Path("other.yaml").write_text(OTHER.replace("0.3", "0.2"), "utf-8")
    assert make() == 2
    assert "no bench holds scores of these chains as they are now: other" in capsys.readouterr().err
    assert make("--names", "missing.yaml") == 2


def test_the_page_is_of_the_network() -> None:
    page = finding.PAGE.read_text("utf-8")
    assert page.startswith("# The Wiener finding\n\n**")
    assert re.search(r"`founder` \w{12}[,.]", " ".join(page.split()))


# The sentences, on made-up figures of every outcome.


def benched(*sides: tuple[float, float], auc: tuple[float, float, float] = (0.9, 0.9, 0.9), **more: float) -> Benched:
    """A system right on these shares of generated images and of photographs, clean, filtered and with noise."""
    figures: dict[str, dict[str, Any]] = {}
    for copy, (generated, real), area in zip(COPIES, [*sides, *sides[-1:] * 2][:3], auc, strict=True):
        found = {"true_positive": generated, "true_negative": real, "balanced_accuracy": (generated + real) / 2}
        figures[copy] = {name: (value, value, value) for name, value in {**found, "auc": area, **more}.items()}
    return Benched("one", "ab" * 32, {"data": {"images": 9}}, figures)


RIGHT = (0.97, 0.95)


@pytest.mark.parametrize(
    ("filtered", "where", "wrong", "said"),
    [
        ((0.97, 0.01), "generated", True, "pushes towards `generated`: all photographs are called so"),
        ((0.97, 0.50), "generated", False, "pushes towards `generated`: some photographs"),
        ((0.02, 0.95), "real", True, "pushes towards `real`: all generated images are no longer found"),
        ((0.02, 0.03), "both", True, "turns all images of either label into the other"),
        ((0.02, 0.50), "both", False, "turns some images of either label"),
        ((0.95, 0.99), "", False, "turns neither label"),
    ],
)
def test_where_the_filter_pushes(filtered: tuple[float, float], where: str, wrong: bool, said: str) -> None:
    found = benched(RIGHT, filtered)
    assert finding.push(found) == where
    assert finding.wrong_on_all(found) is wrong
    assert said in finding.turned(found)
    assert f"(right on {100 * filtered[0]:.1f} % and {100 * filtered[1]:.1f} %)" in finding.turned(found)


@pytest.mark.parametrize(
    ("clean", "filtered", "said"),
    [
        (
            RIGHT,
            (0.97, 0.01),
            "The finding comes out: the founder's network is right on nearly",
        ),
        (RIGHT, (0.97, 0.50), "Half of the finding comes out: the founder's network is right"),
        ((0.7, 0.7), (0.97, 0.01), "Half of the finding comes out: the founder's network is not right"),
        ((0.7, 0.7), (0.7, 0.7), "The finding does not come out: the founder's network is not right"),
    ],
)
def test_the_headline(clean: tuple[float, float], filtered: tuple[float, float], said: str) -> None:
    assert finding.headline(benched(clean, filtered)).startswith(said)
    all_photographs = "one filter makes all photographs wrong." in finding.headline(benched(clean, filtered))
    assert all_photographs is (filtered[1] < 0.05)


@pytest.mark.parametrize(
    ("noisy", "said"),
    [((0.97, 0.9), "most of it"), ((0.97, 0.3), "some of it"), ((0.97, 0.02), "nothing"), ((0.6, 0.01), "nothing")],
)
def test_noise_on_top(noisy: tuple[float, float], said: str) -> None:
    assert f"Adding noise brings {said} back" in next(finding.noise(benched(RIGHT, (0.97, 0.01), noisy)))
    assert not list(finding.noise(benched(RIGHT, RIGHT, noisy)))


@pytest.mark.parametrize(
    ("clean", "said"),
    [
        (RIGHT, "nearly all images are told rightly: 97.0 %"),
        ((0.8, 0.6), "most images"),
        ((0.99, 0.3), "most of one label, not"),
    ],
)
def test_how_right_it_is(clean: tuple[float, float], said: str) -> None:
    assert finding.right(benched(clean)).startswith(said)


@pytest.mark.parametrize("accuracy", [0.8, 0.99])
def test_a_network_that_has_not_learnt_its_images_is_unfinished(accuracy: float) -> None:
    parts = dict.fromkeys(finding.PARTS, benched(RIGHT)) | {"training": benched((accuracy, accuracy))}
    said = " ".join(finding.network(FACTS, 1.5, parts))
    assert re.search(
        r"12 images of 3 collections: [\d,]+ tiles, as many of each label, in 2 epochs and 1.5 hours", said
    )
    assert ("the training is unfinished" in said) is (accuracy < 0.95)


@pytest.mark.parametrize(
    ("filtered", "escaped", "alarms", "survives"),
    [(0.88, 0.05, 0.03, True), (0.84, 0.05, 0.03, False), (0.88, 0.11, 0.03, False), (0.88, 0.05, 0.05, False)],
)
def test_a_chain_survives_by_its_order_its_finds_and_its_alarms(
    filtered: float, escaped: float, alarms: float, survives: bool
) -> None:
    found = benched((0.5, 0.9), auc=(0.9, filtered, 0.8), evasion=escaped, new_false_alarms=alarms)
    assert (f"`one` {'survives' if survives else 'does not survive'} the filter") in finding.stands(found)


def test_cells_hold_their_intervals_and_nothing_that_compares_a_copy_with_itself() -> None:
    found = benched(RIGHT, evasion=0.25)
    row = ["97.0 % [97, 97]", "", "0.900 [0.900, 0.900]"]
    assert list(finding.cells(found, CLEAN, ("true_positive", "evasion"))) == row
    assert [next(finding.cells(found, copy, ["evasion"])) for copy in (FILTERED, NOISY)] == ["25.0 % [25, 25]"] * 2
