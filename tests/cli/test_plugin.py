"""`d2f plugin`: every word that is printed of broken plugins, as real distributions; its commands new and check."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from textwrap import dedent

import pytest

from d2f import D2FError, Exit
from d2f.cli.main import main
from d2f.plugins.catalog import Catalog
from tests.distributions import Distributions, stage_module


def wanted(kind: str, name: str) -> str:
    """Return what is printed of a stage that cannot be had, and the exit code."""
    with pytest.raises(D2FError) as caught:
        Catalog.discover().find(kind, name)
    return f"{caught.value}\n[exit {int(caught.value.exit)}]"


def expect(text: str) -> str:
    return dedent(text).strip("\n")


def checked(name: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str]:
    """Return exit code and output of ``d2f plugin check --load-only NAME``, without the paths of this machine."""
    code = main(["plugin", "check", "--load-only", name])
    out = capsys.readouterr().out
    return code, re.sub(r'File ".*/site-packages/', 'File "…/', out)


class TestBrokenImport:
    SOURCE = """
        import d2f


        import no_such_module
        """

    def test_wanted(self, distributions: Distributions) -> None:
        distributions.add(
            "d2f-blink",
            {"blink_pkg/__init__.py": "from . import model", "blink_pkg/model.py": self.SOURCE},
            {"blink": "blink_pkg"},
        )
        assert wanted("detector", "blink") == expect("""
            error[D2F201]: detector 'blink' is not usable: plugin 'blink' failed to load
              --> entry point  blink = blink_pkg  (d2f-blink 1.2)
               = ModuleNotFoundError: No module named 'no_such_module'   at blink_pkg/model.py:5
               = to see the traceback: d2f plugin check blink
            [exit 3]
            """)

    def test_costs_others_nothing(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", self.SOURCE)
        distributions.add_plugin("soft", stage_module("soft"))
        catalog = Catalog.discover()
        assert catalog.find("preprocessor", "soft").name == "soft"
        assert catalog.find("preprocessor", "wiener").name == "wiener"
        assert [problem.code for problem in catalog.problems] == ["D2F201"]

    def test_the_distribution_s_name_finds_it_too(self, distributions: Distributions) -> None:
        distributions.add("flicker", {"flick.py": self.SOURCE}, {"one": "flick"})
        assert "plugin 'one' failed to load" in wanted("detector", "flicker")

    def test_it_is_a_suspect_where_the_name_says_nothing(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", self.SOURCE)
        assert wanted("detector", "flash") == expect("""
            error[D2F110]: unknown detector 'flash'
               = plugin 'blink' (d2f-blink 1.2) is broken and might: d2f plugin check blink
            [exit 2]
            """)

    def test_check(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("blink", self.SOURCE)
        code, out = checked("d2f-blink", capsys)
        lines = out.splitlines()
        assert code == Exit.PLUGIN
        assert (
            lines[:7]
            == expect("""
            blink = d2f_blink  (d2f-blink 1.2)
              state         not loaded

            error[D2F201]: plugin 'blink' failed to load
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = ModuleNotFoundError: No module named 'no_such_module'   at d2f_blink.py:5
               = to see the traceback: d2f plugin check blink
            """).splitlines()
        )
        assert "  | Traceback (most recent call last):" in lines
        assert '  |   File "…/d2f_blink.py", line 5, in <module>' in lines
        assert lines[-3:] == [
            "  | ModuleNotFoundError: No module named 'no_such_module'",
            "",
            "1 plugin checked: 1 error",
        ]


def test_exit_at_import(distributions: Distributions) -> None:
    distributions.add_plugin("blink", "import sys\nsys.exit('licence expired')")
    assert wanted("detector", "blink") == expect("""
        error[D2F201]: detector 'blink' is not usable: plugin 'blink' failed to load
          --> entry point  blink = d2f_blink  (d2f-blink 1.2)
           = SystemExit: licence expired   at d2f_blink.py:2
           = to see the traceback: d2f plugin check blink
        [exit 3]
        """)


def test_syntax_error(distributions: Distributions) -> None:
    distributions.add_plugin("blink", "x = 1\nif x\n")
    assert "   = SyntaxError: expected ':' (d2f_blink.py, line 2)   at d2f_blink.py:2\n" in wanted("detector", "blink")


def test_no_such_module(distributions: Distributions) -> None:
    distributions.add("d2f-blink", {}, {"blink": "nowhere_to_be_found"})
    assert "   = ModuleNotFoundError: No module named 'nowhere_to_be_found'\n" in wanted("detector", "blink")


@pytest.mark.parametrize(
    "source",
    [
        "def __getattr__(name):\n    raise RuntimeError('no')",
        stage_module(
            "soft",
            """
            class Trap(type):
                @property
                def name(cls):
                    raise RuntimeError("no")

            class Stage(metaclass=Trap):
                pass
            """,
        ),
    ],
    ids=["module", "class"],
)
def test_whatever_else_a_plugin_raises(distributions: Distributions, source: str) -> None:
    distributions.add_plugin("soft", source)
    text = wanted("preprocessor", "soft")
    assert "'soft' is not usable: plugin 'soft' failed to load\n" in text
    assert "   = RuntimeError: no   at d2f_soft.py:" in text
    assert Catalog.discover().find("preprocessor", "wiener").name == "wiener"


class TestHooks:
    def test_misspelt(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", "import d2f\n@d2f.hookimpl\ndef d2f_detecters():\n    return []")
        assert wanted("detector", "blink") == expect("""
            error[D2F202]: detector 'blink' is not usable: plugin 'blink': there is no hook 'd2f_detecters'
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = did you mean 'd2f_detectors'?
            [exit 3]
            """)

    def test_not_marked(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", "def d2f_detectors():\n    return []")
        assert wanted("detector", "blink") == expect("""
            error[D2F202]: detector 'blink' is not usable: plugin 'blink': 'd2f_detectors' is not marked as a hook
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = write @d2f.hookimpl above `def d2f_detectors`
            [exit 3]
            """)

    def test_neither_marked_nor_a_hook(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", "def d2f_preprocesors():\n    return []\ndef d2f_zzz():\n    pass")
        assert "\n".join(map(str, Catalog.discover().problems)) == expect("""
            error[D2F202]: plugin 'blink': 'd2f_preprocesors' looks like a hook and is none
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = did you mean 'd2f_preprocessors'?
            error[D2F202]: plugin 'blink': 'd2f_zzz' looks like a hook and is none
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = names that begin with d2f_ are reserved for hooks
            """)

    def test_asking_for_too_much(self, distributions: Distributions) -> None:
        distributions.add_plugin("blink", "import d2f\n@d2f.hookimpl\ndef d2f_detectors(config):\n    return []")
        assert str(Catalog.discover().problems[0]) == expect("""
            error[D2F202]: plugin 'blink': hook 'd2f_detectors' has a parameter 'config', which it is not given
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = d2f_detectors takes nothing
            """)

    def test_the_rest_of_the_plugin_stands(self, distributions: Distributions) -> None:
        more = "\n@d2f.hookimpl\ndef d2f_detecters():\n    return []\n"
        distributions.add_plugin("soft", stage_module("soft", more))
        assert Catalog.discover().find("preprocessor", "soft").name == "soft"

    def test_raising(self, distributions: Distributions) -> None:
        source = "import d2f\n@d2f.hookimpl\ndef d2f_detectors():\n    import torch_of_another_age\n"
        distributions.add_plugin("blink", source)
        assert wanted("detector", "blink") == expect("""
            error[D2F207]: detector 'blink' is not usable: hook 'd2f_detectors' of plugin 'blink' raised
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = ModuleNotFoundError: No module named 'torch_of_another_age'   at d2f_blink.py:4
               = to see the traceback: d2f plugin check blink
            [exit 3]
            """)
        assert wanted("combiner", "blink").startswith("error[D2F113]: unknown combiner 'blink'")

    @pytest.mark.parametrize(("value", "shown"), [("None", "None"), ("int", "<class 'int'>"), ("3", "3")])
    def test_returning_no_list(self, distributions: Distributions, value: str, shown: str) -> None:
        distributions.add_plugin("blink", f"import d2f\n@d2f.hookimpl\ndef d2f_detectors():\n    return {value}\n")
        assert wanted("detector", "blink") == expect(f"""
            error[D2F207]: detector 'blink' is not usable: hook 'd2f_detectors' of plugin 'blink' did not return a list
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = it returned {shown}
               = return a list, of every detector that the plugin offers
            [exit 3]
            """)


class TestStages:
    def test_missing_attributes(self, distributions: Distributions) -> None:
        more = "del Stage.summary, Stage.apply"
        distributions.add_plugin("soft", stage_module("soft", more))
        assert wanted("preprocessor", "soft") == expect("""
            error[D2F203]: preprocessor 'soft' is refused: it is no preprocessor yet
              --> entry point  soft = d2f_soft  (d2f-soft 1.2)
               = summary: one line that says what it does
               = apply(): a method of every preprocessor
            [exit 3]
            """)

    def test_an_instance(self, distributions: Distributions) -> None:
        distributions.add_plugin("soft", stage_module("soft").replace("return [Stage]", "return [Stage(Options())]"))
        assert "   = hooks return classes; this is an instance of Stage\n" in wanted("preprocessor", "soft")

    def test_taken_name(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("usurper", stage_module("wiener"))
        assert Catalog.discover().find("preprocessor", "wiener").__module__.startswith("d2f_wiener")
        code, out = checked("usurper", capsys)
        import d2f

        assert (code, out) == (
            Exit.PLUGIN,
            expect(f"""
            usurper = d2f_usurper  (d2f-usurper 1.2)
              state         loaded
              hooks         d2f_preprocessors

            error[D2F204]: preprocessor 'wiener' is refused: the name is taken
              --> entry point  usurper = d2f_usurper  (d2f-usurper 1.2)
               = taken by entry point  wiener = d2f_wiener  (d2f {d2f.__version__})
               = rename one of them, or load one only, with D2F_PLUGINS

            1 plugin checked: 1 error
            """)
            + "\n",
        )

    def test_missing_requirement(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("soft", stage_module("soft", "Stage.requires = ('never-written>=2',)"))
        assert wanted("preprocessor", "soft") == expect("""
            error[D2F206]: preprocessor 'soft' is not usable: it requires what is not installed
              --> entry point  soft = d2f_soft  (d2f-soft 1.2)
               = 'never-written>=2' is not installed
               = to install: pip install 'never-written>=2'
            [exit 3]
            """)
        assert main(["plugin", "check", "soft"]) == Exit.PLUGIN
        assert main(["plugin", "check"]) == Exit.OK
        # Others may lack an optional package, too.
        printed = capsys.readouterr().out
        assert "'never-written>=2' is not installed" in printed
        assert re.fullmatch(r"\d+ plugins checked: \d+ warnings?", printed.splitlines()[-1])


class TestApiRange:
    def test_incompatible(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("soft", stage_module("soft", "d2f_api = '>=2,<3'"))
        assert wanted("preprocessor", "soft") == expect("""
            error[D2F205]: preprocessor 'soft' is not usable: plugin 'soft' was written for plugin API >=2,<3, not 1.1
              --> entry point  soft = d2f_soft  (d2f-soft 1.2)
               = it is skipped; install a version of d2f-soft that was written for 1.1
            [exit 3]
            """)
        assert [problem.severity for problem in Catalog.discover().problems] == ["warning"]
        assert main(["plugin", "check", "soft"]) == Exit.PLUGIN

    def test_no_range(self, distributions: Distributions) -> None:
        distributions.add_plugin("soft", stage_module("soft", "d2f_api = 'one'"))
        assert "plugin 'soft' states d2f_api = 'one', which is no range of versions" in wanted("preprocessor", "soft")

    def test_compatible(self, distributions: Distributions) -> None:
        distributions.add_plugin("soft", stage_module("soft", "d2f_api = '>=1,<2'"))
        assert Catalog.discover().find("preprocessor", "soft").name == "soft"


class TestAllowList:
    def test_leaves_out_what_it_does_not_name(
        self, distributions: Distributions, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        distributions.add_plugin("soft", stage_module("soft"))
        distributions.add_plugin("harsh", "raise RuntimeError('imported')")
        monkeypatch.setenv("D2F_PLUGINS", "soft, wiener,sotf")
        catalog = Catalog.discover()
        assert {"soft", "wiener", "jpeg"} <= set(catalog.names("preprocessor"))
        assert "\n".join(map(str, catalog.problems)) == expect("""
            warning[D2F208]: D2F_PLUGINS names 'sotf', which is no plugin
               = did you mean 'soft'?
            """)
        assert wanted("preprocessor", "harsh") == expect("""
            error[D2F111]: unknown preprocessor 'harsh'
               = plugin 'harsh' (d2f-harsh 1.2) is left out by D2F_PLUGINS
            [exit 2]
            """)
        assert checked("harsh", capsys) == (
            Exit.OK,
            expect("""
            harsh = d2f_harsh  (d2f-harsh 1.2)
              state         left out by D2F_PLUGINS

            1 plugin checked: no problem
            """)
            + "\n",
        )

    def test_empty_leaves_the_built_in_ones(
        self, distributions: Distributions, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        distributions.add_plugin("soft", stage_module("soft"))
        monkeypatch.setenv("D2F_PLUGINS", "")
        names = Catalog.discover().names("preprocessor")
        assert "wiener" in names
        assert "soft" not in names


class TestList:
    def test_problems_stand_at_the_end(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("soft", stage_module("soft"))
        distributions.add_plugin("blink", "raise SystemExit")
        assert main(["plugin", "list"]) == Exit.OK
        out, err = capsys.readouterr()
        assert "\npreprocessors:\n" in f"\n{out}"
        assert (
            "  soft (d2f-soft 1.2): Does nothing at all.\n"
            "    window  Side of the window in pixels. [a whole number from 1 to 15; default 3]\n"
        ) in out
        assert (
            err
            == expect("""
            error[D2F201]: plugin 'blink' failed to load
              --> entry point  blink = d2f_blink  (d2f-blink 1.2)
               = SystemExit   at d2f_blink.py:1
               = to see the traceback: d2f plugin check blink

            1 error
            """)
            + "\n"
        )

    def test_json(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        more = """
            @d2f.hookimpl
            def d2f_weights():
                return [d2f.Weights("soft/default", "0" * 64, "MIT", ("https://example.org/a",), "Made up.")]
            """
        distributions.add_plugin("soft", stage_module("soft", more))
        assert main(["plugin", "list", "--json"]) == Exit.OK
        found = json.loads(capsys.readouterr().out)
        origin = {"plugin": "soft", "distribution": "d2f-soft", "version": "1.2"}
        (stage,) = [stage for stage in found["stages"] if stage["name"] == "soft"]
        assert stage == {
            "kind": "preprocessor",
            "name": "soft",
            "summary": "Does nothing at all.",
            **origin,
            "requires": [],
            "options": [
                {
                    "name": "window",
                    "takes": "a whole number from 1 to 15",
                    "description": "Side of the window in pixels.",
                    "required": False,
                    "default": 3,
                }
            ],
        }
        assert {
            "name": "soft/default",
            "sha256": "0" * 64,
            "licence": "MIT",
            "sources": ["https://example.org/a"],
            "description": "Made up.",
            "size": None,
            "untested": [],
            "self_test": "",
            **origin,
        } in found["weights"]
        assert found["problems"] == []
        assert found["api"] == "1.1"


class TestCheck:
    def test_a_stage_s_name(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add("two-things", {"two_things.py": stage_module("soft")}, {"two": "two_things"})
        assert checked("soft", capsys) == (
            Exit.OK,
            expect("""
            two = two_things  (two-things 1.2)
              state         loaded
              hooks         d2f_preprocessors
              preprocessor  soft: window

            1 plugin checked: no problem
            """)
            + "\n",
        )

    def test_a_refused_stage_s_name(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add(
            "two-things", {"two_things.py": stage_module("soft", "del Stage.apply")}, {"two": "two_things"}
        )
        code, out = checked("soft", capsys)
        assert code == Exit.PLUGIN
        assert "   = apply(): a method of every preprocessor\n" in out

    def test_unknown(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        distributions.add_plugin("soft", stage_module("soft"))
        assert main(["plugin", "check", "sotf"]) == Exit.USAGE
        assert (
            capsys.readouterr().err
            == expect("""
            error[D2F208]: unknown plugin 'sotf'
               = did you mean 'soft'?
               = to see all: d2f plugin list

            1 error
            """)
            + "\n"
        )

    def test_a_plugin_that_offers_nothing(
        self, distributions: Distributions, capsys: pytest.CaptureFixture[str]
    ) -> None:
        distributions.add_plugin("blank", "")
        code, out = checked("blank", capsys)
        assert code == Exit.OK
        assert "  hooks         none, so it offers nothing\n" in out

    def test_one_module_behind_two_names(self, distributions: Distributions) -> None:
        distributions.add("d2f-soft", {"d2f_soft.py": stage_module("soft")}, {"a": "d2f_soft", "b": "d2f_soft"})
        assert str(Catalog.discover().problems[0]) == expect("""
            error[D2F204]: plugin 'b' is refused: a (d2f-soft 1.2) is the same object
              --> entry point  b = d2f_soft  (d2f-soft 1.2)
            """)

    def test_built_in_plugins_are_sound(self, distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
        assert main(["plugin", "check"]) == Exit.OK
        assert "error" not in capsys.readouterr().out


# `d2f plugin new`: what it prints, and what it refuses.


@pytest.fixture
def _in_tmp_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "100")


@pytest.mark.usefixtures("_in_tmp_path")
def test_new_prints_what_it_wrote_and_what_comes_next(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "grain"]) == Exit.OK
    assert capsys.readouterr().out == expect_printed("""
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


@pytest.mark.usefixtures("_in_tmp_path")
def test_new_elsewhere_and_learned(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    assert main(["plugin", "new", "grain", "--learned", "--into", "my plugins"]) == Exit.OK
    out = capsys.readouterr().out
    assert "  d2f_grain/default.safetensors  weights to begin with, fitted to simulated pictures\n" in out
    assert "  recipe.yaml                    how `d2f train` makes its weights\n" in out
    assert "  pip install -e './my plugins/d2f-grain[test]'\n" in out
    assert (tmp_path / "my plugins" / "d2f-grain" / "recipe.yaml").is_file()
    assert main(["plugin", "new", "other", "--into", str(tmp_path / "deep" / "er")]) == Exit.OK
    assert f"  python -m pytest {tmp_path}/deep/er/d2f-other\n" in capsys.readouterr().out


@pytest.mark.usefixtures("_in_tmp_path")
def test_new_twice(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["plugin", "new", "grain"]) == Exit.OK
    assert main(["plugin", "new", "grain", "--kind", "combiner"]) == Exit.USAGE
    assert capsys.readouterr().err == expect_printed("""
        error[D2F004]: 'd2f-grain' already exists
           = nothing was written; --into DIR names another place

        1 error
        """)


@pytest.mark.usefixtures("_in_tmp_path")
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


@pytest.mark.usefixtures("_in_tmp_path")
def test_no_array_library_is_loaded() -> None:
    program = (
        "import sys; from d2f.cli.main import main; main(['plugin', 'new', 'grain']); "
        "print([name for name in ('numpy', 'mlx', 'scipy', 'PIL') if name in sys.modules])"
    )
    environment = {key: value for key, value in os.environ.items() if key != "D2F_PLUGINS"}
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True)
    assert done.stdout.splitlines()[-1] == "[]", done.stderr


# `d2f plugin check NAME` holds the plugin's stages to their contract, with ticks and crosses.

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


def expect_printed(text: str) -> str:
    return dedent(text).strip("\n") + "\n"


def test_ticks(distributions: Distributions, capsys: pytest.CaptureFixture[str]) -> None:
    distributions.add("two-things", {"two_things.py": stage_module("soft")}, {"two": "two_things"})
    code, out, _ = run(capsys, "soft")
    assert code == Exit.OK
    assert out == expect_printed("""
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
    assert out.partition("WholeImage\n")[2] == expect_printed("""
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
