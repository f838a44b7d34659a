"""Broken plugins, as real distributions, and every word that is printed of them."""

from __future__ import annotations

import json
import re
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
