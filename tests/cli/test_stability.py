"""A verdict that a crop of one pixel turns is inconclusive: in every engine, in Python, in `judge` and in `bench`."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import d2f
from d2f.api.errors import Exit
from d2f.cli.main import main
from tests.cli.toy import Toy, toy

__all__ = ["toy"]

TRIED = """
verdict:
  stability: [{use: shift, with: {pixels: 1}}]
  stable_within: 0.4
"""


def edged(name: str, level: int, edge: int) -> str:
    """Write a grey picture of 16 by 12 whose first row and column, a seventh of it, have another level."""
    pixels = np.full((12, 16, 3), level, np.uint8)
    pixels[0], pixels[:, 0] = edge, edge
    Path(name).parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(name)
    return name


@pytest.fixture
def pictures(toy: Toy) -> list[str]:
    """Pictures near a threshold and far from it, in a folder with a chain ``tried.yaml``."""
    Path("tried.yaml").write_text(Path("toy.yaml").read_text("utf-8") + TRIED, "utf-8")
    return [
        edged("p/turned.png", 168, 255),
        edged("p/holds.png", 180, 180),
        edged("p/white.png", 255, 255),
        edged("p/dark.png", 98, 20),
        edged("p/grey.png", 130, 130),
    ]


def run(capfd: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    assert main(["chain", "run", *arguments, "--format", "jsonl", "-q"]) == Exit.OK
    return [json.loads(line) for line in capfd.readouterr().out.splitlines()]


def test_a_verdict_that_one_pixel_turns_is_inconclusive(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    before = [row["verdict"] for row in run(capfd, "toy.yaml", *pictures)]
    assert before == ["generated", "generated", "generated", "real", "inconclusive"]
    rows = run(capfd, "tried.yaml", *pictures)
    assert [row["verdict"] for row in rows] == [
        "inconclusive",
        "generated",
        "generated",
        "inconclusive",
        "inconclusive",
    ]
    notes = [[note["code"] for note in row["notes"]] for row in rows]  # type: ignore[attr-defined]
    assert notes == [["unstable"], [], [], ["unstable"], []]
    message = rows[0]["notes"][0]["message"]  # type: ignore[index]
    assert message.startswith("a small change of the picture (shift, pixels 1) turns the verdict: generated (probab")
    assert rows[0]["probability"] is not None
    for workers in ("1", "2"):
        again = run(capfd, "tried.yaml", *pictures, "--workers", workers, "--time-limit", "60")
        assert again == rows


def test_only_verdicts_near_a_threshold_are_tried(pictures: list[str]) -> None:
    passes: Counter[str] = Counter()

    def count(event: d2f.StageFinished) -> None:
        passes[f"{event.kind} {event.name} {event.view}"] += event.images

    rows = list(d2f.load_chain("tried.yaml").run(pictures, workers=1, on_event=count))
    assert len(rows) == 5
    assert passes["detector light plain"] == 5 + 3


def test_rows_keep_their_order_however_many_wait(pictures: list[str]) -> None:
    names = [edged(f"many/{number:03}.png", 168 if number % 3 else 255, 255) for number in range(40)]
    rows = list(d2f.load_chain("tried.yaml").run(names, workers=1))
    assert [row.path for row in rows] == names
    assert [row.verdict == "inconclusive" for row in rows] == [number % 3 != 0 for number in range(40)]


def test_a_row_does_not_wait_for_ever_for_others_near_a_threshold(pictures: list[str]) -> None:
    names = [edged(f"many/{number:03}.png", 255 if number else 168, 255) for number in range(200)]
    taken: list[str] = []
    rows = d2f.load_chain("tried.yaml").run(names, workers=1, only=lambda path: not taken.append(path))
    assert next(rows).verdict == "inconclusive"
    assert len(taken) < 150
    assert len(list(rows)) == 199


def test_a_change_that_fails_is_missing(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    """Without `stable_within` every verdict is tried; the toy plugin's `toy-fault` raises."""
    text = Path("toy.yaml").read_text("utf-8") + "verdict: {stability: [{use: toy-fault}]}\n"
    Path("fault.yaml").write_text(text, "utf-8")
    assert main(["chain", "run", "fault.yaml", "p/white.png", "p/grey.png", "--format", "jsonl"]) == Exit.SOME_FAILED
    white, grey = (json.loads(line) for line in capfd.readouterr().out.splitlines())
    assert (white["verdict"], grey["verdict"]) == ("inconclusive", "inconclusive")
    (missing,) = white["missing"]
    assert missing["detector"] == "toy-fault"
    assert missing["reason"].startswith("D2F404: preprocessor 'toy-fault' of `verdict.stability`: ValueError: a fault")
    assert grey["missing"] == []


def test_judge_says_why(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["judge", "p/turned.png", "--chain", "tried.yaml"]) == Exit.OK
    out = capfd.readouterr().out
    assert "inconclusive" in out
    assert "note: a small change of the picture (shift, pixels 1) turns the verdict" in out


def test_show_draws_it_and_the_digest_knows_it(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "show", "tried.yaml"]) == Exit.OK
    assert "turned by shift(pixels=1) within 0.4 nats of a threshold inconclusive" in capfd.readouterr().out
    assert d2f.load_chain("tried.yaml").digest != d2f.load_chain("toy.yaml").digest


def test_the_bench_counts_it_as_inconclusive(pictures: list[str], capfd: pytest.CaptureFixture[str]) -> None:
    for number in range(12):
        edged(f"set/real/c{number % 3}/{number}.png", 78 - number, 20)
        edged(f"set/generated/g/c{number % 3}/{number}.png", 255 if number < 6 else 168, 255)
    command = ["bench", "toy.yaml", "tried.yaml", "--data", "set", "--grid", "none", "--protocol", "as-found"]
    assert main([*command, "--attack", "resize:size=16x12", "-o", "b"]) == Exit.OK
    found = json.loads(Path("b/bench.json").read_text("utf-8"))
    plain, tried = found["systems"]
    assert plain["turned"]["none"] == {"real": 0.0, "generated": 0.0}
    rows = list(d2f.load_chain("tried.yaml").run("set", workers=1))
    turned = {True: 0, False: 0}
    for row in rows:
        turned["generated" in row.path] += any(note.code == "unstable" for note in row.notes)
    assert tried["turned"]["none"] == {"real": turned[False] / 12, "generated": turned[True] / 12}
    assert turned[True] == 6
    assert tried["turned"]["resize:size=16x12"] == tried["turned"]["none"]
    inconclusive = sum(row.verdict == "inconclusive" for row in rows) / len(rows)
    assert tried["figures"]["none"]["inconclusive"][0] == pytest.approx(inconclusive)
    assert tried["figures"]["none"]["auc"] == plain["figures"]["none"]["auc"]


def test_one_image_in_python_is_tried_too(pictures: list[str]) -> None:
    chain = d2f.load_chain("tried.yaml")
    result = chain.judge(np.asarray(Image.open("p/turned.png")))
    assert (result.verdict, result.notes[-1].code) == ("inconclusive", "unstable")
    assert chain.judge("p/white.png").verdict == "generated"
