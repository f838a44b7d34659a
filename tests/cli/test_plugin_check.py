"""`d2f plugin check NAME` holds the plugin's stages to their contract, with ticks and crosses."""

from __future__ import annotations

import re
from textwrap import dedent

import pytest

from d2f import Exit
from d2f.cli.main import main
from tests.distributions import Distributions, stage_module

BLUR = """
@d2f.hookimpl
def d2f_detectors():
    return [Level]

class Level:
    name = "level"
    summary = "Mean of the picture over its brightest value."
    Options = Options
    wants = d2f.WholeImage()
    def __init__(self, options):
        pass
    def score(self, batch):
        return [float(pixels.mean()) / int(pixels.max()) for pixels in batch]
"""


def run(capsys: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    """Return exit code, output and errors, durations and sizes written as N."""
    code = main(["plugin", "check", *arguments])
    out, err = capsys.readouterr()
    return code, re.sub(r"\d[\d.]* (ms|s|MB)\b", r"N \1", out), err


def expect(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


def test_ticks(distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
    distributions.add("two-things", {"two_things.py": stage_module("soft")}, {"two": "two_things"})
    code, out, _ = run(capsys, "soft")
    assert code == Exit.OK
    assert out == expect("""
        two = two_things  (two-things 1.2)
          state         loaded
          hooks         d2f_preprocessors
          preprocessor  soft: window

        preprocessor 'soft'
          ✓ it has what its kind needs
          ✓ its summary is one short sentence
          ✓ its options are documented                 window
          ✓ listing it loads no array library
          ✓ what it requires is installed              it requires nothing
          ✓ the given options are valid
          ✓ options survive a chain file
          ✓ construction is cheap                      N ms
          ✓ load() reads its weights                   it has nothing to load
          ✓ every picture becomes a view               17 pictures
          ✓ it prints nothing and warns of nothing
          ✓ what it is given stays as it was
          ✓ the seed is its only randomness            nothing is drawn
          - it may be called from threads, as it says  thread_safe is not set: one thread at a time calls it
          ✓ an image's cost is bounded                 N ms and N MB an image of 512x512
          ✓ it keeps nothing of an image

        1 plugin checked: no problem; 15 checks passed, 1 left out
        """)


def test_crosses(distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
    distributions.add("two-things", {"two_things.py": stage_module("soft", BLUR)}, {"two": "two_things"})
    code, out, _ = run(capsys, "level")
    assert code == Exit.PLUGIN
    assert "preprocessor 'soft'" not in out
    assert out.partition("WholeImage\n")[2] == expect("""
          ✗ tiny and blank images are no exception
              on black 64x64: it raised ZeroDivisionError: float division by zero   at two_things.py:34
              next: return d2f.Abstention('why') for an image that it cannot score; an exception costs the whole batch
          ✓ it prints nothing and warns of nothing
          ✓ scores are finite, one for each image      5 of 5 pictures scored
          ✓ what it is given stays as it was
          ✓ the same image gives the same score        bit for bit
          ✓ a score does not depend on its neighbours  alone, together, in reverse
          - it may be called from threads, as it says  thread_safe is not set: one thread at a time calls it
          ✓ an image's cost is bounded                 N ms and N MB an image of 512x512
          ✓ it keeps nothing of an image

        error[D2F210]: detector 'level' fails 1 of 19 checks
          --> entry point  two = two_things  (two-things 1.2)
           = the same in a test: from d2f.testing import check_stage; check_stage(Level)

        1 plugin checked: 1 error; 17 checks passed, 1 failed, 1 left out
        """)


def test_a_plugin_s_name_checks_all_its_stages(
    distributions: Distributions, capsys: pytest.CaptureFixture[str]
) -> None:
    distributions.add("two-things", {"two_things.py": stage_module("soft", BLUR)}, {"two": "two_things"})
    for name in ("two", "two-things"):
        _, out, _ = run(capsys, name)
        assert "\ndetector 'level'\n" in out
        assert "\npreprocessor 'soft'\n" in out


def test_options(distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
    distributions.add_plugin("soft", stage_module("soft"))
    assert run(capsys, "soft", "--with", "window=5")[0] == Exit.OK
    code, out, _ = run(capsys, "soft", "--with", "window=99")
    assert code == Exit.PLUGIN
    assert "preprocessor 'soft': option 'window' must be a whole number from 1 to 15, not 99" in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("soft", "--with", "window"), "error[D2F001]: 'window' is not KEY=VALUE"),
        (("calibrators", "--with", "slope=1"), "error[D2F001]: --with is for one stage"),
        (("--with", "slope=1"), "error[D2F001]: --with is for one stage"),
    ],
)
def test_wrong_options(
    distributions: Distributions, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], words: str
) -> None:
    distributions.add_plugin("soft", stage_module("soft"))
    code, _, err = run(capsys, *arguments)
    assert code == Exit.USAGE
    assert words in err


def test_without_a_name_nothing_is_run(distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
    distributions.add_plugin("soft", stage_module("soft", BLUR))
    code, out, _ = run(capsys)
    assert code == Exit.OK
    assert "✓" not in out


def test_a_terminal_without_ticks(distributions: Distributions) -> None:
    distributions.add_plugin("soft", stage_module("soft"))
    done = distributions.run("plugin", "check", "soft", PYTHONIOENCODING="ascii")
    assert done.returncode == 0, done.stderr
    assert "\n  + construction is cheap" in done.stdout
