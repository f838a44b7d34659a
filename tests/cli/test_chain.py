"""`d2f chain`, and its commands `show`, `schema`, `check`, `new` and `build`."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from d2f import CODES, Exit
from d2f.chain.chain import load_chain
from d2f.chain.show import draw
from d2f.cli.chain import COMMANDS, print_drawing
from d2f.cli.main import main
from d2f.plugins.catalog import Catalog
from tests.distributions import Distributions
from tests.plugins.tiny_towers import tiny_tower
from tests.unit.chain import stages

# `d2f chain`, `d2f chain show` and `d2f chain schema`.

GOOD_FOLDER = Path(__file__).resolve().parents[1] / "chains" / "good"


@pytest.fixture
def _in_good_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = stages.catalog()
    monkeypatch.setattr(Catalog, "discover", classmethod(lambda cls: catalog))
    monkeypatch.chdir(GOOD_FOLDER)


@pytest.mark.usefixtures("_in_good_folder")
class TestShow:
    def test_plain_where_it_is_no_terminal(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["chain", "show", "triad.yaml"]) == 0
        out, err = capsys.readouterr()
        assert out.startswith("triad  Three cues over three views: fused into one probability.\n")
        assert "\x1b" not in out
        assert err == ""

    def test_that_it_is_not_fitted_is_said_once(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["chain", "show", "unfitted.yaml"]) == 0
        out, err = capsys.readouterr()
        assert out.endswith("\nNot fitted: every verdict is inconclusive; see d2f chain fit\n")
        assert err == ""

    def test_other_warnings_are_printed(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        text = Path("unfitted.yaml").read_text("utf-8") + "views: {a: [{use: wiener}]}\n"
        (tmp_path / "a.yaml").write_text(text, "utf-8")
        assert main(["chain", "show", str(tmp_path / "a.yaml")]) == 0
        assert capsys.readouterr().err.startswith("warning[D2F126]: no detector looks at the view 'a'\n")

    def test_a_bad_chain(self, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["chain", "show", "../bad/27-id-twice.yaml"]) == 2
        out, err = capsys.readouterr()
        assert out == ""
        assert err.endswith("\n2 errors\n")

    @pytest.mark.skipif(sys.platform == "win32", reason="there are no pseudo-terminals")
    def test_colours_on_a_terminal(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")
        lines = draw(load_chain("triad.yaml", catalog=stages.catalog()))
        reader, writer = pty.openpty()
        with os.fdopen(writer, "w", encoding="utf-8") as terminal:
            monkeypatch.setattr(sys, "stdout", terminal)
            print_drawing(lines[:2])
        text = os.read(reader, 10_000).decode()
        os.close(reader)
        assert text.startswith("\x1b[1mtriad\x1b[0m  Three cues")


@pytest.mark.usefixtures("_in_good_folder")
def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["d2f"]["const"] == 1
    assert "wiener" in json.dumps(schema["$defs"]["preprocessor"])


@pytest.mark.usefixtures("_in_good_folder")
def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in out
        assert text.split(".")[0].split(":")[0][:20] in out


@pytest.mark.usefixtures("_in_good_folder")
@pytest.mark.parametrize("command", COMMANDS)
def test_help_of_a_command_loads_nothing_heavy(command: str) -> None:
    code = f"""
import sys
from d2f.cli.main import main
code = main(["chain", "{command}", "--help"])
loaded = {{name.partition(".")[0] for name in sys.modules}}
print(code, sorted(loaded & {{"numpy", "scipy", "mlx", "PIL", "pydantic", "ruamel", "pyarrow"}}), file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stderr == "0 []\n"


# `d2f chain check`: for every mistake the exact text that is printed, and the exit code.

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


# `d2f chain new`: a chain file of named stages, what it needs, and what it says before it is fitted.


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


# `d2f chain build` from end to end: a tiny seeded tower of each architecture, a set made by arithmetic.

CHAIN = """d2f: 1
name: base
description: A probe.
detectors:
  - {id: clip, use: clip-probe}
combine: {use: logistic}
"""


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Ten collections of both labels: generated ones are noisier, so that any network sees it."""
    folder, random = tmp_path_factory.mktemp("set"), np.random.default_rng(0)
    for number in range(80):
        generated = number % 2
        place = folder / ("generated/toy" if generated else "real") / f"source-{number // 2 % 10}"
        place.mkdir(parents=True, exist_ok=True)
        noise = random.normal(0, random.uniform(30, 50) if generated else random.uniform(0, 8), (96, 96, 3))
        ramp = np.linspace(60, 190, 96)[None, :, None] + random.uniform(-20, 20, 3)
        Image.fromarray(np.clip(ramp + noise, 0, 255).astype(np.uint8)).save(place / f"{number}.png")
    return folder


def build(folder: Path, pictures: Path, tower: str, *more: str) -> int:
    (folder / "base.yaml").write_text(CHAIN)
    given = ["chain", "build", str(folder / "base.yaml"), "--tower", tower, "--data", str(pictures)]
    return main([*given, "-o", str(folder / "mine.yaml"), "--attack", "jpeg:60", "--draws", "50", *more])


@pytest.mark.parametrize("name", ["clip-vitl14", "siglip2-vitb16", "dinov2-vitb14", "dinov3-vitb16", "pe-vitb16"])
def test_from_a_tower_to_a_chain_that_judges(
    name: str,
    pictures: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    tower = f"{name}={tiny_tower(name, tmp_path, monkeypatch)}"
    assert build(tmp_path, pictures, tower) == 0
    out, err = capsys.readouterr()
    assert (tmp_path / "mine.safetensors").is_file()
    made = load_chain(tmp_path / "mine.yaml")
    assert made.file.fitted is not None
    assert made.file.fitted.oof_weights is not None
    card = (tmp_path / "mine.md").read_text("utf-8")
    assert made.digest in card
    assert "passes of the tower" in err
    assert "wrote" in out
    # The held-out collections are not among those that the head was fitted to.
    fitted, held = ((tmp_path / "mine.build" / f"{part}.csv").read_text() for part in ("fitted", "held-out"))
    sources = [{line.split(",")[3] for line in text.splitlines()[1:]} for text in (fitted, held)]
    assert not sources[0] & sources[1]
    noisy = next((pictures / "generated").rglob("*.png"))
    assert next(iter(made.run([str(noisy)], workers=1))).probability is not None
