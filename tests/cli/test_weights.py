"""`d2f weights`: what is listed, fetched, converted, verified and added, word for word."""

from __future__ import annotations

import hashlib
import io
import json
import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from d2f import Exit
from d2f.cli.main import main
from d2f.models import build_model, load_arrays, model_config
from d2f.plugins.catalog import Catalog
from d2f.weights import read_weights
from d2f.weights.sources import pins
from tests.distributions import Distributions, stage_module
from tests.unit.models import state_dicts
from tests.unit.models.seeded import state_dict
from tests.unit.weights.server import Server, serving

CHECKPOINTS = Path(__file__).parents[1] / "unit" / "weights" / "checkpoints"
DATA = b"soft weights"
SHA256 = hashlib.sha256(DATA).hexdigest()

PLUGIN = """
@d2f.hookimpl
def d2f_weights():
    sources = ("{url}", "hf://someone/soft/a.npz@main")
    default = d2f.Weights("soft/default", "{sha256}", "MIT", sources, "Made up.", {size}, sources[1:])
    other = d2f.Weights("soft/other", "{other}", "CC-BY-4.0", ("{url}-other",))
    return [default, other]
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("D2F_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "weights"


@pytest.fixture
def server(distributions: Distributions) -> Iterator[Server]:
    """A server, and a plugin whose weights it has."""
    with serving() as running:
        running.files["/a.npz"] = DATA
        facts = {"url": running.url("/a.npz"), "sha256": SHA256, "size": len(DATA), "other": "0" * 64}
        distributions.add_plugin("soft", stage_module("soft") + PLUGIN.format(**facts))
        yield running


def run(*arguments: object) -> int:
    return main(["weights", *map(str, arguments)])


class TestList:
    def test_for_a_person(self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("list") == Exit.OK
        blocks = {block.partition("  ")[0]: block for block in capsys.readouterr().out.split("\n\n")}
        assert list(blocks) == sorted(blocks)
        assert blocks["soft/default"].splitlines() == [
            "soft/default  (d2f-soft 1.2)",
            "  Made up.",
            "  state    not here, 12 B: d2f weights pull soft/default",
            f"  from     {server.url('/a.npz')}",
            "           hf://someone/soft/a.npz@main (untested)",
            f"  sha256   {SHA256}",
            "  licence  MIT",
        ]
        assert "\n  state    here, " in blocks["noise-statistics/default"]
        assert "\n  state    not here, " in blocks["taef2/encoder"]

    def test_by_name(self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("list", "soft") == Exit.OK
        assert [block.partition("  ")[0] for block in capsys.readouterr().out.split("\n\n")] == [
            "soft/default",
            "soft/other",
        ]
        assert run("list", "soft/defualt") == Exit.USAGE
        assert "did you mean 'soft/default'?" in capsys.readouterr().err

    def test_json(self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        run("pull", "soft/default")
        capsys.readouterr()
        assert run("list", "--json") == Exit.OK
        (found,) = [one for one in json.loads(capsys.readouterr().out) if one["name"] == "soft/default"]
        assert found == {
            "name": "soft/default",
            "sha256": SHA256,
            "licence": "MIT",
            "sources": [server.url("/a.npz"), "hf://someone/soft/a.npz@main"],
            "description": "Made up.",
            "size": 12,
            "untested": ["hf://someone/soft/a.npz@main"],
            "self_test": "",
            "package": "d2f-soft 1.2",
            "state": "here",
            "path": str(cache / f"{SHA256}.npz"),
        }

    def test_verify(self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("list", "--verify") == Exit.OK
        cache.mkdir(parents=True)
        (cache / f"{SHA256}.npz").write_bytes(b"other")
        assert run("list", "--verify") == Exit.SOME_FAILED
        assert f"  state    damaged, 5 B: {cache}/{SHA256}.npz" in capsys.readouterr().out


class TestPull:
    def test_by_name(self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("pull", "soft/default") == Exit.OK
        printed = capsys.readouterr()
        assert printed.out.splitlines() == [
            f"soft/default: fetched from {server.url('/a.npz')}, 12 B",
            f"  {cache / SHA256}.npz",
        ]
        assert printed.err == f"soft/default: from {server.url('/a.npz')}\n"
        assert run("pull", "soft/default") == Exit.OK
        assert capsys.readouterr().out.splitlines()[0] == "soft/default: here already, 12 B"

    def test_one_that_fails_does_not_keep_the_others(
        self, server: Server, cache: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert run("pull", "soft") == Exit.PLUGIN
        printed = capsys.readouterr()
        assert printed.out.startswith("soft/default: fetched")
        assert "error[D2F507]: weights 'soft/other' could not be fetched" in printed.err

    def test_a_source_of_one_s_own(self, cache: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        with serving() as running:
            running.files["/b.onnx"] = DATA
            copy = tmp_path / "copy.onnx"
            assert run("pull", running.url("/b.onnx"), "--sha256", SHA256.upper(), "-o", copy) == Exit.OK
        assert copy.read_bytes() == (cache / f"{SHA256}.onnx").read_bytes() == DATA

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            ([], "error[D2F001]: name weights, or --all"),
            (["https://example.org/a"], "error[D2F001]: a SOURCE goes alone, with --sha256"),
            (
                ["https://example.org/a", "--sha256", "12"],
                "error[D2F001]: --sha256 expects 64 hexadecimal digits, not '12'",
            ),
            (["noise-statistic"], "error[D2F501]: unknown weights 'noise-statistic'"),
            (["--all", "noise-statistics", "-o"], "error[D2F001]: option '-o' requires an argument"),
        ],
    )
    def test_mistakes(self, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("pull", *arguments) == Exit.USAGE
        assert capsys.readouterr().err.startswith(message)

    def test_nothing_to_fetch(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        shipped = tuple(one for one in Catalog.discover().weights if one.sources[0].startswith("package:"))
        monkeypatch.setattr(Catalog, "weights", shipped)
        assert run("pull", "--all") == Exit.OK
        assert "noise-statistics/default: here already" in capsys.readouterr().out


class TestConvert:
    def test_a_checkpoint(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for ending in ("safetensors", "npz"):
            target = tmp_path / f"a.{ending}"
            assert run("convert", CHECKPOINTS / "wrapped.pth", target) == Exit.OK
            held = read_weights(target)
            assert held.arrays["turned"].tolist() == [[0, 3], [1, 4], [2, 5]]
            assert capsys.readouterr().out.splitlines() == ["9 arrays, 25 numbers", f"{target}  sha256 {held.sha256}"]

    def test_a_published_network(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        source, target = tmp_path / "resnet18.npz", tmp_path / "a.safetensors"
        np.savez(source, **state_dict(state_dicts.resnet(18)))
        assert run("convert", source, target, "--map", "torchvision", "--head", "drop") == Exit.OK
        held = read_weights(target)
        assert capsys.readouterr().out.splitlines() == [
            "122 arrays, 11699132 numbers",
            'the network: {"architecture":"resnet","depth":18,"logits":1000}',
            "renamed 100, none missing, none unknown",
            "dropped 20 counters of batches",
            "dropped the head: head.weight, head.bias",
            f"{target}  sha256 {held.sha256}",
        ]
        model = build_model(model_config({**json.loads(held.metadata["d2f.model"]), "logits": 1}))
        assert load_arrays(model, held.arrays, new_head=True) is False

    def test_what_does_not_fit(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        shapes = state_dicts.resnet(18)
        del shapes["conv1.weight"]
        np.savez(tmp_path / "a.npz", **state_dict(shapes))
        assert run("convert", tmp_path / "a.npz", tmp_path / "b.npz", "--map", "timm") == Exit.PLUGIN
        assert "missing: stem.weight (64, 7, 7, 3)" in capsys.readouterr().err
        assert not (tmp_path / "b.npz").exists()

    def test_a_program(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run("convert", CHECKPOINTS / "whole-network.pth", tmp_path / "a.npz") == Exit.USAGE
        assert "nothing in it was run" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("arguments", "message"),
        [
            (["a.npz", "b.pth"], "error[D2F001]: the file to write ends with"),
            (["a.npz", "b.npz", "--head", "drop"], "error[D2F001]: --head drop needs --map"),
            (["a.npz", "b.npz", "--key", "model"], "error[D2F001]: --key is for PyTorch checkpoints"),
            (["a.npz", "b.npz"], "error[D2F502]: there is no weights file 'a.npz'"),
            (["a.pth", "b.npz"], "error[D2F502]: there is no weights file 'a.pth'"),
        ],
    )
    def test_mistakes(
        self,
        arguments: list[str],
        message: str,
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        monkeypatch.chdir(tmp_path)
        assert run("convert", *arguments) in (Exit.USAGE, Exit.PLUGIN)
        assert capsys.readouterr().err.startswith(message)

    def test_nothing_is_written_over(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        target = tmp_path / "a.npz"
        target.write_bytes(b"mine")
        assert run("convert", CHECKPOINTS / "zip.pth", target) == Exit.USAGE
        assert "to replace it: --overwrite" in capsys.readouterr().err
        assert target.read_bytes() == b"mine"
        assert run("convert", CHECKPOINTS / "zip.pth", target, "--overwrite") == Exit.OK


# `d2f weights verify` and `add`: a file fetched or brought, held to its digest, and tried on a picture.

TESTED_PLUGIN = """
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
GOOD_SHA256 = hashlib.sha256(GOOD).hexdigest()


@pytest.fixture
def tested_server(distributions: Distributions) -> Iterator[Server]:
    """A server, and a plugin whose weights it has."""
    with serving() as running:
        running.files |= {"/known.npz": GOOD, "/first.npz": GOOD}
        source = stage_module("soft") + TESTED_PLUGIN.replace("{url}", running.url("")).replace("{sha256}", GOOD_SHA256)
        distributions.add_plugin("soft", source)
        yield running


@pytest.mark.usefixtures("cache", "tested_server")
def test_a_recorded_output_is_held_to(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "soft/known", "soft/untried") == Exit.OK
    out = capsys.readouterr().out
    assert "soft/known: fetched from" in out
    assert "  self-test: the output equals the recorded output, within 0.0e+00" in out
    assert "  self-test: none is known for these weights" in out


@pytest.mark.usefixtures("cache", "tested_server")
def test_an_unknown_digest_is_pinned_and_the_first_output_kept(capsys: pytest.CaptureFixture[str]) -> None:
    assert run("verify", "soft/first") == Exit.OK
    out = capsys.readouterr().out
    assert f"pinned by this first pull, on trust: sha256 {GOOD_SHA256}" in out
    assert "nobody recorded one yet, so this one is kept to compare" in out
    assert pins() == {"soft/first": GOOD_SHA256}
    assert run("verify", "soft/first") == Exit.OK
    assert "the output equals that of the first run on this machine" in capsys.readouterr().out


@pytest.mark.usefixtures("cache", "tested_server")
@pytest.mark.parametrize(
    ("data", "more"), [(weights(float("nan"), 1.0), ()), (b"no weights", ()), (GOOD, ("--no-pin",))]
)
def test_a_pin_is_taken_back(
    data: bytes, more: tuple[str, ...], tested_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    tested_server.files["/first.npz"] = data
    assert run("verify", "soft/first", *more) == (Exit.OK if more else Exit.SOME_FAILED)
    assert "  not pinned: the next pull trusts what it is given" in capsys.readouterr().out
    assert pins() == {}


@pytest.mark.usefixtures("cache", "tested_server")
def test_one_that_cannot_be_reached_does_not_keep_the_others(
    tested_server: Server, capsys: pytest.CaptureFixture[str]
) -> None:
    del tested_server.files["/first.npz"]
    assert run("verify", "soft/first", "soft/known") == Exit.PLUGIN
    out, err = capsys.readouterr()
    assert "soft/known: fetched from" in out
    assert "error[D2F507]: weights 'soft/first' could not be fetched" in err
    assert err.endswith("1 error\n")


@pytest.mark.usefixtures("cache", "tested_server")
def test_a_file_brought_by_hand(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stick = tmp_path / "stick.npz"
    stick.write_bytes(GOOD)
    assert run("add", stick, "--as", "soft/known") == Exit.OK
    out = capsys.readouterr().out
    assert out.startswith(f"soft/known: read from {stick}, ")
    assert "self-test: the output equals the recorded output" in out
    assert (cache / f"{GOOD_SHA256}.npz").read_bytes() == GOOD
    assert run("add", stick, "--as", "soft/first") == Exit.OK
    assert pins() == {"soft/first": GOOD_SHA256}
    assert f"  pinned, on trust: sha256 {GOOD_SHA256}\n" in capsys.readouterr().out


@pytest.mark.usefixtures("cache", "tested_server")
def test_another_file_brought_by_hand_is_refused(
    tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stick = tmp_path / "stick.npz"
    stick.write_bytes(weights(1.0, 3.0))
    assert run("add", stick, "--as", "soft/known") == Exit.PLUGIN
    err = capsys.readouterr().err
    assert f"error[D2F503]: '{stick}' is not the file of weights 'soft/known'" in err
    assert f"pinned  {GOOD_SHA256}" in err
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


@pytest.mark.usefixtures("cache", "tested_server")
def test_what_is_no_regular_file_is_refused_unread(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (Path(os.devnull), tmp_path / "pipe", tmp_path):
        assert run("add", path, "--as", "soft/first") == Exit.USAGE
        assert capsys.readouterr().err.startswith(f"error[D2F002]: '{path}' cannot be read: it is no regular file\n")
