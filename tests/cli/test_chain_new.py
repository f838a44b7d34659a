"""`d2f chain new`: a chain file of named stages, what it needs, and what it says before it is fitted."""

from __future__ import annotations

from pathlib import Path

import pytest

from d2f import Exit
from d2f.chain.chain import load_chain
from d2f.cli.main import main


def run(*arguments: object) -> int:
    return main(["chain", "new", *map(str, arguments)])


def test_published_and_own_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path))
    path = tmp_path / "theirs.yaml"
    given = ["--with", "commfor", "--with", "tiny-ladeda:residual=npr", "--with", "noise-statistics"]
    assert run(*given, "--view", "soft=wiener:7", "-o", path) == Exit.OK
    assert capsys.readouterr().out.splitlines() == [
        "weights that are not here: d2f weights pull commfor/default tiny-ladeda/wildrf",
        "not fitted: gather at least 180 photographs and 180 generated pictures,",
        f"of ten collections or more each, then: d2f chain fit {path} --data DIR -o theirs-fitted.yaml",
        f"wrote {path}",
    ]
    chain = load_chain(path, refit=True)
    assert chain.plan.member_names == tuple(
        f"{name}/{view}" for name in ("commfor", "tiny-ladeda", "noise-statistics") for view in ("plain", "soft")
    )
    assert chain.file.require[0].use == "colour"
    assert chain.file.detectors[1].with_ == {"residual": "npr"}
    assert "at least 180 photographs and 180 generated pictures" in chain.text
    assert main(["chain", "check", str(path)]) == Exit.OK
    assert "the chain is not fitted" in capsys.readouterr().err


def test_one_stage_twice_without_preconditions(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "two.yaml"
    assert run("--with", "noise-statistics", "--with", "noise-statistics", "--bare", "-o", path) == Exit.OK
    assert "gather at least 100 photographs" in capsys.readouterr().out
    chain = load_chain(path, refit=True)
    assert [detector.id for detector in chain.plan.detectors] == ["noise-statistics", "noise-statistics-2"]
    assert not chain.file.require


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--with", "comfor"], "error[D2F110]: no detector, precondition or evidence reader is called 'comfor'"),
        (["--with", "colour"], "error[D2F001]: no detector is named"),
        (["--with", "commfor", "--view", "wiener:7"], "error[D2F001]: --view expects NAME=SPEC, not 'wiener:7'"),
        (["--with", "tiny-ladeda:residual=sobel"], "option 'residual'"),
    ],
)
def test_mistakes(arguments: list[str], message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(*arguments, "-o", tmp_path / "a.yaml") == Exit.USAGE
    assert message in capsys.readouterr().err
    assert not (tmp_path / "a.yaml").exists()
