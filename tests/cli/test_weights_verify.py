"""`d2f weights verify` and `add`: a file fetched or brought, held to its digest, and tried on a picture."""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from d2f import Exit
from d2f.cli.main import main
from d2f.weights.sources import pins
from tests.distributions import Distributions, stage_module
from tests.unit.weights.fetching.server import Server, serving

PLUGIN = """
from d2f.weights import SelfTest, read_weights


def tried(record):
    gain = read_weights(record).arrays["gain"]
    return SelfTest(tuple(gain.tolist()), (1.0, 2.0) if record.name == "soft/known" else None, "the recorded output")


@d2f.hookimpl
def d2f_weights():
    url, tested = "{url}", "d2f_soft:tried"
    return [
        d2f.Weights("soft/known", "{sha256}", "MIT", (url + "/known.npz",), self_test=tested),
        d2f.Weights("soft/first", "", "MIT", (url + "/first.npz",), self_test=tested),
        d2f.Weights("soft/untried", "{sha256}", "MIT", (url + "/known.npz",)),
    ]
"""


def weights(*gain: float) -> bytes:
    held = io.BytesIO()
    np.savez(held, gain=np.array(gain))
    return held.getvalue()


GOOD = weights(1.0, 2.0)
SHA256 = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture(autouse=True)
def server(distributions: Distributions) -> Iterator[Server]:
    """A server, and a plugin whose weights it has."""
    with serving() as running:
        running.files |= {"/known.npz": GOOD, "/first.npz": GOOD}
        source = stage_module("soft") + PLUGIN.replace("{url}", running.url("")).replace("{sha256}", SHA256)
        distributions.add_plugin("soft", source)
        yield running


def run(*arguments: object) -> int:
    return main(["weights", *map(str, arguments)])


def test_a_recorded_output_is_held_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "soft/known", "soft/untried") == Exit.OK
    out = capsys.readouterr().out
    assert "soft/known: fetched from" in out
    assert "  self-test: the output equals the recorded output, within 0.0e+00" in out
    assert "  self-test: none is known for these weights" in out


def test_an_unknown_digest_is_pinned_and_the_first_output_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "soft/first") == Exit.OK
    out = capsys.readouterr().out
    assert f"pinned by this first pull, on trust: sha256 {SHA256}" in out
    assert "nobody recorded one yet, so this one is kept to compare" in out
    assert pins() == {"soft/first": SHA256}
    assert run("verify", "soft/first") == Exit.OK
    assert "the output equals that of the first run on this machine" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "more"), [(weights(float("nan"), 1.0), ()), (b"no weights", ()), (GOOD, ("--no-pin",))]
)
def test_a_pin_is_taken_back(
    data: bytes, more: tuple[str, ...], server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    server.files["/first.npz"] = data
    assert run("verify", "soft/first", *more) == (Exit.OK if more else Exit.SOME_FAILED)
    assert "  not pinned: the next pull trusts what it is given" in capsys.readouterr().out
    assert pins() == {}


def test_one_that_cannot_be_reached_does_not_keep_the_others(
    server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    del server.files["/first.npz"]
    assert run("verify", "soft/first", "soft/known") == Exit.PLUGIN
    out, err = capsys.readouterr()
    assert "soft/known: fetched from" in out
    assert "error[D2F507]: weights 'soft/first' could not be fetched" in err
    assert err.endswith("1 error\n")


def test_a_file_brought_by_hand(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick = tmp_path / "stick.npz"
    stick.write_bytes(GOOD)
    assert run("add", stick, "--as", "soft/known") == Exit.OK
    out = capsys.readouterr().out
    assert out.startswith(f"soft/known: read from {stick}, ")
    assert "self-test: the output equals the recorded output" in out
    assert (cache / f"{SHA256}.npz").read_bytes() == GOOD
    assert run("add", stick, "--as", "soft/first") == Exit.OK
    assert pins() == {"soft/first": SHA256}
    assert f"  pinned, on trust: sha256 {SHA256}\n" in capsys.readouterr().out


def test_another_file_brought_by_hand_is_refused(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick.npz"
    stick.write_bytes(weights(1.0, 3.0))
    assert run("add", stick, "--as", "soft/known") == Exit.PLUGIN
    err = capsys.readouterr().err
    assert f"error[D2F503]: '{stick}' is not the file of weights 'soft/known'" in err
    assert f"pinned  {SHA256}" in err
    assert not cache.exists()
    stick.write_bytes(b"PK no archive")
    assert run("add", stick, "--as", "soft/first") == Exit.SOME_FAILED
    out, err = capsys.readouterr()
    assert "error[D2F505]" in err
    assert "not pinned, and so not taken" in out
    assert "on trust" not in out
    assert pins() == {}
    assert not list(cache.glob("*.npz"))
    assert run("add", tmp_path / "gone.npz", "--as", "soft/known") == Exit.USAGE
    assert run("add", stick, "--as", "soft") == Exit.USAGE
    assert "'soft' stands for 3 files: soft/" in capsys.readouterr().err


def test_what_is_no_regular_file_is_refused_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path(os.devnull), tmp_path / "pipe", tmp_path):
        assert run("add", path, "--as", "soft/first") == Exit.USAGE
        assert capsys.readouterr().err.startswith(f"error[D2F002]: '{path}' cannot be read: it is no regular file\n")
