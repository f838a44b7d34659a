"""`d2f judge`: which chain is taken, and what a person reads."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import pytest

from d2f import load_chain
from d2f.api.inputs import Note
from d2f.api.rows import Failure, Member, Row
from d2f.chain.words import percent, reasons, sentence, strength
from d2f.cli.main import main
from tests.cli.toy import Toy, toy

__all__ = ["toy"]


@pytest.mark.parametrize(
    ("ratio", "words"),
    [
        (1.9, "no support either way"),
        (2.1, "weak support for AI-generated"),
        (11, "moderate support for AI-generated"),
        (101, "moderately strong support for AI-generated"),
        (1001, "strong support for AI-generated"),
        (10_001, "very strong support for AI-generated"),
        (1_000_001, "extremely strong support for AI-generated"),
        (1 / 11, "moderate support for a camera image"),
    ],
)
def test_strength_is_the_verbal_scale_both_ways(ratio: float, words: str) -> None:
    assert strength(math.log(ratio)) == words


def test_a_percentage_is_never_certain() -> None:
    assert [percent(value) for value in (0.0, 0.0099, 0.01, 0.5, 0.99, 0.991, 1.0)] == [
        "below 1 %",
        "below 1 %",
        "1 %",
        "50 %",
        "99 %",
        "above 99 %",
        "above 99 %",
    ]


def test_every_kind_of_row_has_a_sentence() -> None:
    assert sentence(Row("a", probability=0.97, verdict="generated")) == (
        "AI-generated; probability of being AI-generated: 97 %"
    )
    assert sentence(Row("a", probability=0.03, verdict="real")) == (
        "no sign of generation; probability of being AI-generated: 3 %"
    )
    refused = Row("a", verdict="inconclusive", notes=(Note("colour", "no colour"), Note("size", "small")))
    assert sentence(refused) == "inconclusive: no colour"
    assert list(reasons(refused, {})) == ["note: small"]
    several = replace(refused, notes=(Note("one-of-several", "2 pages"), *refused.notes))
    assert sentence(several) == "inconclusive: no colour"
    assert list(reasons(several, {})) == ["note: 2 pages", "note: small"]
    assert sentence(replace(several, notes=several.notes[:1])) == "inconclusive: 2 pages"
    assert sentence(Row("a", error=Failure("D2F304", "damaged"))) == "not judged: damaged"


def test_reasons_name_what_a_detector_looks_at_the_largest_share_first() -> None:
    members = (
        Member("a", "plain", contribution=0.2),
        Member("b", "half", contribution=-1.5),
        Member("c", "plain", abstained="flat"),
    )
    row = Row("x", probability=0.2, verdict="real", llr=-1.3, stages=members, disagreements=("a: turns",))
    assert list(reasons(row, {"b": "sensor noise"})) == [
        "the pixels give weak support for a camera image",
        "sensor noise, on the view half: -1.5 nats, towards camera image",
        "a: +0.2 nats, towards AI-generated",
        "c gave no score: flat",
        "disagreement: a: turns",
    ]


def test_a_file_that_cannot_be_read_costs_the_exit_code_alone(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.picture("photos/a.png")
    (toy.folder / "photos/b.png").write_bytes(b"no picture")
    assert main(["judge", "photos", "--chain", "toy.yaml"]) == 1
    out, err = capsys.readouterr()
    assert "photos/a.png\n  " in out
    assert "photos/b.png\n  not judged: " in out
    assert "no sign of generation is no proof of a camera" in err


def test_rows_as_json_are_those_of_chain_run(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.picture("a.png")
    assert main(["judge", "a.png", "--chain", "toy.yaml", "--json"]) == 0
    judged = json.loads(capsys.readouterr().out)
    assert main(["chain", "run", "toy.yaml", "a.png", "--format", "jsonl", "-q"]) == 0
    assert judged == json.loads(capsys.readouterr().out)


def test_without_its_weights_the_best_chain_gives_way_and_says_how_to_get_it(
    toy: Toy, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("D2F_CACHE", str(toy.folder / "empty"))
    toy.picture("a.png")
    assert main(["judge", "a.png"]) == 0
    err = capsys.readouterr().err
    assert "chain deep is better but its weights are missing: d2f weights pull clip-vit-b16" in err
    assert "chain robust, digest " in err


def test_another_prior_moves_the_probability_and_not_the_ratio(toy: Toy) -> None:
    toy.picture("a.png")
    chain = load_chain("toy.yaml")
    (even,), (low,) = chain.run("a.png"), chain.with_prior(0.01).run("a.png")
    assert even.llr == low.llr
    assert even.probability is not None
    assert low.probability is not None
    odds = even.probability / (1 - even.probability) / 99
    assert low.probability == pytest.approx(odds / (1 + odds), abs=1e-4)


def test_chain_list_shows_every_shipped_chain(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "list"]) == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines() if not line.startswith(" ")] == [
        "deep",
        "fast",
        "robust",
        "single",
        "triad",
    ]


def test_what_is_passed_over_is_counted(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.picture("photos/a.png")
    (toy.folder / "photos/cam.NEF").write_bytes(b"MM\0*")
    assert main(["judge", "photos", "photos/a.png", "--chain", "toy.yaml"]) == 0
    err = capsys.readouterr().err
    assert err.startswith("1 file passed over: 1 .nef\n1 image was named twice and taken once\n")


def test_an_unfitted_chain_states_no_error_rates(toy: Toy, capsys: pytest.CaptureFixture[str]) -> None:
    toy.picture("photos/a.png")
    assert main(["chain", "new", "--bare", "--with", "toy-light", "-o", "new.yaml"]) == 0
    assert main(["judge", "--chain", "new.yaml", "photos"]) == 0
    closing = capsys.readouterr().err
    assert "the chain is not fitted" in closing
    assert "of photographs are called" not in closing
