"""`d2f chain check`: for every mistake the exact text that is printed, and the exit code."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from d2f import CODES
from d2f.cli.main import main
from d2f.plugins.catalog import Catalog
from tests.distributions import Distributions
from tests.unit.chain import stages

CHAINS = Path(__file__).resolve().parents[1] / "chains"
BAD = sorted((CHAINS / "bad").glob("*.yaml"))
GOOD = sorted((CHAINS / "good").glob("*.yaml"))


@pytest.fixture
def _test_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = stages.catalog()
    monkeypatch.setattr(Catalog, "discover", classmethod(lambda cls: catalog))


def codes(text: str) -> set[str]:
    return set(re.findall(r"^(?:error|warning)\[(D2F\d+)\]", text, re.MULTILINE))


def expected_exit(text: str) -> int:
    if not re.search(r"^error\[", text, re.MULTILINE):
        return 0
    return 3 if re.search(r"^error\[D2F2", text, re.MULTILINE) else 2


@pytest.mark.usefixtures("_test_stages")
@pytest.mark.parametrize("chain", BAD, ids=lambda path: path.stem)
def test_printed_text(chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(chain.parent)
    expected = chain.with_suffix(".txt").read_text("utf-8")
    code = main(["chain", "check", chain.name])
    out, err = capsys.readouterr()
    assert err == expected
    assert out == ""
    assert code == expected_exit(expected)


def test_every_code_of_chain_files_is_shown() -> None:
    shown = set().union(*(codes(chain.with_suffix(".txt").read_text("utf-8")) for chain in BAD))
    # A name that no chain has stands in no file: see test_unknown_name.
    assert {code for code in CODES if code.startswith("D2F1")} - shown == {"D2F130"}
    assert {"D2F206", "D2F209", "D2F501", "D2F506"} <= shown


def test_every_snapshot_has_its_chain() -> None:
    assert [path.stem for path in sorted((CHAINS / "bad").glob("*.txt"))] == [path.stem for path in BAD]
    assert [path.name[:3] for path in BAD] == [f"{number:02d}-" for number in range(1, len(BAD) + 1)]


@pytest.mark.usefixtures("_test_stages")
@pytest.mark.parametrize("chain", GOOD, ids=lambda path: path.stem)
def test_good_chains(chain: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(chain.parent)
    assert main(["chain", "check", chain.name]) == 0
    out, err = capsys.readouterr()
    assert (out, codes(err)) in ((f"{chain.name}: no problem found\n", set()), ("", {"D2F127"}))


class TestNames:
    @pytest.fixture(autouse=True)
    def _shipped(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("fast", "triad"):
            (tmp_path / f"{name}.yaml").write_text((CHAINS / "good" / "triad.yaml").read_text("utf-8"), "utf-8")
        monkeypatch.setattr("d2f.chain.chain.files", lambda package: tmp_path)

    @pytest.mark.usefixtures("_test_stages")
    def test_shipped_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["chain", "check", "triad"]) == 0
        assert capsys.readouterr() == ("triad: no problem found\n", "")

    def test_unknown_name(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["chain", "check", "tirad"]) == 2
        assert capsys.readouterr().err == (
            "error[D2F130]: unknown chain 'tirad'\n"
            "   = did you mean 'triad'?\n"
            "   = shipped chains: fast, triad\n"
            "   = a chain of your own is named by its file: tirad.yaml\n"
            "\n"
            "1 error\n"
        )


class TestFiles:
    def test_missing(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        Path("triad.yaml").touch()
        assert main(["chain", "check", "tirad.yaml"]) == 2
        assert capsys.readouterr().err == (
            "error[D2F108]: there is no chain file 'tirad.yaml'\n   = did you mean 'triad.yaml'?\n\n1 error\n"
        )

    def test_folder(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        monkeypatch.chdir(tmp_path)
        Path("chains").mkdir()
        Path("chains/triad.yaml").touch()
        assert main(["chain", "check", "./chains"]) == 2
        assert capsys.readouterr().err == (
            "error[D2F108]: './chains' is a folder, not a chain file\n   = it holds triad.yaml\n\n1 error\n"
        )

    def test_too_large(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        (tmp_path / "large.yaml").write_bytes(b"#" * 1_000_001)
        assert main(["chain", "check", str(tmp_path / "large.yaml")]) == 2
        assert "holds more than 1,000,000 bytes" in capsys.readouterr().err


class TestBrokenPlugins:
    """A plugin that fails to import costs the chains that need it, and no other."""

    SOURCE = "import module_of_another_world\n"

    @pytest.fixture
    def chain(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.chdir(tmp_path)
        Path("chain.yaml").write_text("d2f: 1\nname: chain\ndetectors:\n  - use: blink\n", "utf-8")
        return "chain.yaml"

    def test_needed(self, distributions: Distributions, chain: str, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("blink", self.SOURCE)
        assert main(["chain", "check", chain]) == 3
        assert capsys.readouterr().err == (
            "error[D2F201]: detector 'blink' is not usable: plugin 'blink' failed to load\n"
            "  --> entry point  blink = d2f_blink  (d2f-blink 1.2)\n"
            "   = asked for in chain.yaml:4:10 at detectors[0].use\n"
            "   = ModuleNotFoundError: No module named 'module_of_another_world'   at d2f_blink.py:1\n"
            "   = to see the traceback: d2f plugin check blink\n"
            "\n"
            "1 error\n"
        )

    def test_not_needed(self, distributions: Distributions, chain: str, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("blonk", self.SOURCE)
        distributions.add_plugin("blink", DETECTOR)
        assert main(["chain", "check", chain]) == 0
        err = capsys.readouterr().err
        assert codes(err) == {"D2F127", "D2F201"}
        assert err.startswith("warning[D2F127]: the chain is not fitted\n")
        assert err.splitlines()[-1].startswith("warning[D2F201]: plugin 'blonk' failed to load  --> entry point  blonk")


DETECTOR = """
from pydantic import BaseModel, ConfigDict
import d2f

class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

class Blink:
    name = "blink"
    summary = "Says nothing."
    wants = d2f.WholeImage()
    Options = Options
    def __init__(self, options):
        self.options = options
    def score(self, batch):
        return [0.0 for _ in batch]

@d2f.hookimpl
def d2f_detectors():
    return [Blink]
"""
