"""`d2f chain`, `d2f chain show` and `d2f chain schema`."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from pathlib import Path

import pytest

from d2f.chain.chain import load_chain
from d2f.chain.show import draw
from d2f.cli.chain import COMMANDS, print_drawing
from d2f.cli.main import main
from d2f.plugins.catalog import Catalog
from tests.unit.chain import stages

GOOD = Path(__file__).resolve().parents[1] / "chains" / "good"


@pytest.fixture(autouse=True)
def _test_stages(monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = stages.catalog()
    monkeypatch.setattr(Catalog, "discover", classmethod(lambda cls: catalog))
    monkeypatch.chdir(GOOD)


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


def test_schema(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "schema"]) == 0
    schema = json.loads(capsys.readouterr().out)
    assert schema["properties"]["d2f"]["const"] == 1
    assert "wiener" in json.dumps(schema["$defs"]["preprocessor"])


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["chain", "--help"]) == 0
    out = capsys.readouterr().out
    for name, (_, text) in COMMANDS.items():
        assert f"  {name}" in out
        assert text.split(".")[0].split(":")[0][:20] in out


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
