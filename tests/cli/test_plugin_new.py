"""`d2f plugin new`: what it prints, and what it refuses."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from d2f import Exit
from d2f.cli.main import main


@pytest.fixture(autouse=True)
def _here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


def expect(text: str) -> str:
    return dedent(text).lstrip("\n")


def test_what_it_prints(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "grain"]) == Exit.OK
    assert capsys.readouterr().out == expect("""
        wrote d2f-grain/
          .github/workflows/test.yml  the same tests on GitHub
          .gitignore                  what is not committed
          README.md                   what it is, and the commands below
          d2f_grain.py                the detector and its options
          grain.yaml                  a chain that uses it
          pyproject.toml              the entry point by which d2f finds it
          tests/test_grain.py         its tests, the first through d2f.testing

        next:
          pip install -e './d2f-grain[test]'
          python -m pytest ./d2f-grain
          d2f plugin check grain
          d2f chain run ./d2f-grain/grain.yaml PICTURES
        """)


def test_elsewhere_and_learned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plugin", "new", "grain", "--learned", "--into", "my plugins"]) == Exit.OK
    out = capsys.readouterr().out
    assert "  d2f_grain/default.safetensors  weights to begin with, fitted to simulated pictures\n" in out
    assert "  recipe.yaml                    how `d2f train` makes its weights\n" in out
    assert "  pip install -e './my plugins/d2f-grain[test]'\n" in out
    assert (tmp_path / "my plugins" / "d2f-grain" / "recipe.yaml").is_file()
    assert main(["plugin", "new", "other", "--into", str(tmp_path / "deep" / "er")]) == Exit.OK
    assert f"  python -m pytest {tmp_path}/deep/er/d2f-other\n" in capsys.readouterr().out


def test_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "grain"]) == Exit.OK
    assert main(["plugin", "new", "grain", "--kind", "combiner"]) == Exit.USAGE
    assert capsys.readouterr().err == expect("""
        error[D2F004]: 'd2f-grain' already exists
           = nothing was written; --into DIR names another place

        1 error
        """)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["wiener"], "error[D2F211]: the name 'wiener' is taken"),
        (["Grain"], "did you mean 'grain'?"),
        (["grain", "--kind", "filter"], "error[D2F001]: invalid value for '--kind'"),
        (["grain", "--kind", "combiner", "--learned"], "error[D2F001]: --learned is for detectors"),
        ([], "error[D2F001]: missing argument 'NAME'"),
    ],
)
def test_refused(arguments: list[str], words: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plugin", "new", *arguments]) == Exit.USAGE
    assert words in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_no_array_library_is_loaded() -> None:
    program = (
        "import sys; from d2f.cli.main import main; main(['plugin', 'new', 'grain']); "
        "print([name for name in ('numpy', 'mlx', 'scipy', 'PIL') if name in sys.modules])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "D2F_PLUGINS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr
