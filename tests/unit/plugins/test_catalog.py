"""The catalog of plugins: what is found, refused and named; the digest of a plugin's code."""

from __future__ import annotations

import logging
import shutil
import sys
from pathlib import Path
from typing import Any, ClassVar

import d2f_towers
import pytest
from d2f_clip_probe.stage import ClipProbe
from d2f_wiener.stage import Wiener
from pydantic import BaseModel, ConfigDict

from d2f import D2FError, Exit, Place, StageFinished, Weights
from d2f.plugins import catalog as code
from d2f.plugins.catalog import Catalog, code_digest
from d2f.plugins.entries import KINDS, kind_of, plugin_packages
from tests.distributions import Distributions, stage_module

PLACE = Place("chain.yaml", 4, 10, "views.soft[0].use", "  - use: sotf", 4)


class Options(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Soft:
    name: ClassVar[str] = "soft"
    summary: ClassVar[str] = "Does nothing."
    Options = Options

    def __init__(self, options: Any) -> None: ...

    def apply(self, pixels: Any, seed: int) -> Any:
        return pixels


class Harsh(Soft):
    name: ClassVar[str] = "harsh"


class Blink(Soft):
    name: ClassVar[str] = "soft"
    apply: ClassVar[None] = None  # type: ignore[assignment]

    def score(self, batch: Any) -> list[float]:
        return [0.0 for _ in batch]


RECORD = Weights("soft/default", "0" * 64, "MIT", ("package:nowhere/file.safetensors",))
EVENT = StageFinished("detector", "a", "plain", 3, 0.5)


def text_of(catalog: Catalog, kind: str, name: str, place: Place | None = None) -> str:
    with pytest.raises(D2FError) as caught:
        catalog.find(kind, name, place)
    return f"{caught.value}\n[{caught.value.exit.name}]"


class TestOf:
    def test_finds_what_it_was_given(self) -> None:
        catalog = Catalog.of(Harsh, Soft, Blink, weights=[RECORD])
        assert catalog.find("preprocessor", "soft") is Soft
        assert catalog.find("detector", "soft") is Blink
        assert catalog.names("preprocessor") == ("harsh", "soft")
        assert catalog.stages("preprocessor") == (Harsh, Soft)
        assert catalog.weights == (RECORD,)
        assert catalog.owner("preprocessor", "soft") is None
        assert catalog.problems == ()

    def test_refuses_two_of_one_name(self) -> None:
        class Other(Soft):
            pass

        with pytest.raises(D2FError) as caught:
            Catalog.of(Soft, Other, weights=[RECORD, Weights("soft/default", "1" * 64, "MIT", ())])
        assert [problem.code for problem in caught.value.problems] == ["D2F204", "D2F204"]
        assert caught.value.exit == Exit.PLUGIN

    def test_the_same_class_twice_is_one(self) -> None:
        assert Catalog.of(Soft, Soft).names("preprocessor") == ("soft",)

    def test_lists_all_that_a_stage_lacks(self) -> None:
        class Loose(BaseModel):
            window: int = 3

        class Bare:
            name = "Not Kebab"
            summary = "two\nlines"
            Options = Loose
            requires = ("torch>>2",)

            def score(self, batch: Any) -> None: ...

        with pytest.raises(D2FError) as caught:
            Catalog.of(Bare)
        assert str(caught.value) == "\n".join(
            [
                "error[D2F203]: detector 'Not Kebab' is refused: it is no detector yet",
                "   = name: 'Not Kebab' is not kebab-case (lower-case letters, digits and single hyphens)",
                "   = summary: it has more than one line",
                "   = Options: not frozen; write model_config = ConfigDict(extra='forbid', frozen=True)",
                "   = Options: lets unknown options pass; write model_config = ConfigDict(extra='forbid', frozen=True)",
                "   = Options.window: no description; write Field(description=…)",
                "   = requires: 'torch>>2' is not a requirement such as 'torch>=2'",
            ]
        )

    def test_a_calibrator_has_a_fit(self) -> None:
        class Half(Soft):
            apply = None  # type: ignore[assignment]

            def probability(self, scores: Any) -> Any: ...

        with pytest.raises(D2FError, match=r"fit\(\): a method of every calibrator"):
            Catalog.of(Half)

    def test_a_trainable_is_told_what_its_author_meant(self) -> None:
        class Half(Soft):
            apply = None  # type: ignore[assignment]

            def features(self, pixels: Any) -> Any: ...
            def fit(self, *arguments: Any) -> Any: ...

        with pytest.raises(D2FError, match=r"predict\(\): a method of every trainable"):
            Catalog.of(Half)


def test_kinds_are_told_by_their_first_method() -> None:
    assert kind_of(Soft) == "preprocessor"
    assert kind_of(Blink) == "detector"
    assert kind_of(Options) is None
    assert list(KINDS)[:4] == ["detector", "preprocessor", "precondition", "evidence"]


class TestUnknown:
    @pytest.mark.parametrize("kind", KINDS)
    def test_code_of_each_kind(self, kind: str) -> None:
        with pytest.raises(D2FError) as caught:
            Catalog.of().find(kind, "nothing")
        assert caught.value.problems[0].code == KINDS[kind].unknown
        assert caught.value.exit == Exit.USAGE

    def test_near_miss_at_its_place(self) -> None:
        assert text_of(Catalog.of(Soft), "preprocessor", "sotf", PLACE) == "\n".join(
            [
                "error[D2F111]: unknown preprocessor 'sotf'",
                "  --> chain.yaml:4:10  at views.soft[0].use",
                "4 |   - use: sotf",
                "  |          ^^^^ no loaded plugin provides it",
                "   = did you mean 'soft'?",
                "[USAGE]",
            ]
        )

    def test_name_of_another_kind(self) -> None:
        assert "   = there is a preprocessor 'harsh'" in text_of(Catalog.of(Harsh), "detector", "harsh")


class TestRequirements:
    def test_missing_ones_give_the_command(self) -> None:
        class Needy(Soft):
            requires = ("d2f-no-such-thing>=2,<3", "pydantic<1", "click", 'nothing-here; python_version < "3"')

        catalog = Catalog.of(Needy)
        assert catalog.stages("preprocessor") == (Needy,)
        import pydantic

        assert text_of(catalog, "preprocessor", "soft") == "\n".join(
            [
                "error[D2F206]: preprocessor 'soft' is not usable: it requires what is not installed",
                "   = 'd2f-no-such-thing>=2,<3' is not installed",
                f"   = 'pydantic<1' is not satisfied by pydantic {pydantic.VERSION}",
                "   = to install: pip install 'd2f-no-such-thing>=2,<3' 'pydantic<1'",
                "[PLUGIN]",
            ]
        )

    def test_met_ones_are_silent(self) -> None:
        class Content(Soft):
            requires = ("pydantic>=2",)

        assert Catalog.of(Content).find("preprocessor", "soft") is Content


class TestObservers:
    def test_one_that_raises_is_dropped_with_one_warning(self, caplog: pytest.LogCaptureFixture) -> None:
        heard: list[StageFinished] = []

        def broken(event: StageFinished) -> None:
            raise RuntimeError("no disk")

        catalog = Catalog.of(observers=[broken, heard.append])
        with caplog.at_level(logging.WARNING, logger="d2f"):
            catalog.notify(EVENT)
            catalog.notify(EVENT)
        assert heard == [EVENT, EVENT]
        assert len(caplog.records) == 1
        assert "RuntimeError: no disk" in caplog.text
        assert caplog.text.count("warning[D2F207]") == 1

    def test_of_a_plugin(self, distributions: Distributions, caplog: pytest.LogCaptureFixture) -> None:
        source = """
            import d2f
            heard = []

            @d2f.hookimpl
            def d2f_stage_finished(event):
                heard.append(event)
                if len(heard) > 1:
                    raise SystemExit("enough")
            """
        distributions.add_plugin("listener", source)
        catalog = Catalog.discover()
        import d2f_listener

        for _ in range(3):
            catalog.notify(EVENT)
        assert d2f_listener.heard == [EVENT, EVENT]
        assert "SystemExit: enough   at d2f_listener.py:9" in caplog.text
        assert catalog.problems == ()


class TestOrder:
    def test_first_distribution_keeps_a_name(self, distributions: Distributions) -> None:
        distributions.add_plugin("zebra", stage_module("twin"))
        distributions.add_plugin("aardvark", stage_module("twin"))
        distributions.add_plugin("usurper", stage_module("wiener"))
        catalog = Catalog.discover()
        owners = [catalog.owner("preprocessor", name) for name in ("twin", "wiener")]
        assert [owner.distribution for owner in owners if owner] == ["d2f-aardvark", "d2f"]
        assert [problem.code for problem in catalog.problems] == ["D2F204", "D2F204"]

    def test_discovery_happens_once(self, distributions: Distributions) -> None:
        assert Catalog.discovered() is None
        catalog = Catalog.discover()
        distributions.add_plugin("late", stage_module("late"))
        assert Catalog.discover() is catalog
        assert Catalog.discovered() is catalog


def test_discovery_loads_no_array_library(distributions: Distributions) -> None:
    code = """
        import sys
        from d2f.plugins.catalog import Catalog
        catalog = Catalog.discover()
        assert catalog.names("preprocessor")
        print(*sorted({"numpy", "scipy", "mlx", "PIL", "sklearn", "rich"} & set(sys.modules)))
        """
    from textwrap import dedent

    done = distributions.python(dedent(code))
    assert (done.stdout, done.stderr) == ("\n", "")


# The digest of a plugin's code.


@pytest.fixture
def imported(tmp_path, monkeypatch):
    """Import a package of this source, as a process that starts anew would."""

    def made(**files):
        folder = tmp_path / "d2f_made"
        folder.mkdir(exist_ok=True)
        for name, source in files.items():
            (folder / f"{name}.py").write_text(source, "utf-8")
        monkeypatch.syspath_prepend(tmp_path)
        for name in [name for name in sys.modules if name.partition(".")[0] == "d2f_made"]:
            monkeypatch.delitem(sys.modules, name)
        code._package_digest.cache_clear()
        import d2f_made.stage

        return d2f_made.stage.Stage

    yield made
    code._package_digest.cache_clear()
    plugin_packages.cache_clear()


def test_a_change_anywhere_in_the_package_changes_the_digest(imported, tmp_path):
    sources = {"__init__": "", "stage": "class Stage:\n    pass\n", "other": "SIDE = 3\n"}
    first = code_digest(imported(**sources))
    (tmp_path / "d2f_made" / "README.md").write_text("words", "utf-8")
    assert code_digest(imported(**sources)) == first
    assert code_digest(imported(**{**sources, "other": "SIDE = 4\n"})) != first
    assert code_digest(imported(**sources)()) == first
    assert code_digest(imported(**sources, more="")) != first


def test_code_of_a_plugin_that_the_package_imports_is_covered_though_it_is_not_imported_yet(imported, tmp_path):
    sources = {"__init__": "", "stage": "class Stage:\n    def load(self):\n        from d2f_lent import half\n"}
    plugin, helper = tmp_path / "d2f_lent", tmp_path / "lent_helper.py"
    (tmp_path / "d2f_lent-1.dist-info").mkdir()
    (tmp_path / "d2f_lent-1.dist-info" / "METADATA").write_text("Name: d2f-lent\nVersion: 1\n", "utf-8")
    plugin.mkdir()
    helper.write_text("HALF = 0.5\n", "utf-8")
    # The two import each other.
    (plugin / "__init__.py").write_text("import lent_helper, d2f_made.stage\n", "utf-8")
    (plugin / "half.py").write_text("HALF = 0.5\n", "utf-8")
    before = code_digest(imported(**sources))
    (tmp_path / "d2f_lent-1.dist-info" / "entry_points.txt").write_text("[d2f]\nlent = d2f_lent\n", "utf-8")
    plugin_packages.cache_clear()
    first = code_digest(imported(**sources))
    assert before != first == code_digest(imported(**sources))
    helper.write_text("HALF = 0.25\n", "utf-8")
    assert code_digest(imported(**sources)) == first
    (plugin / "half.py").write_text("HALF = 0.25\n", "utf-8")
    assert code_digest(imported(**sources)) != first
    assert "d2f_lent" not in sys.modules


def test_the_towers_are_covered_where_clip_probe_computes_with_them(imported, tmp_path, monkeypatch):
    before = code_digest(ClipProbe)
    copied = shutil.copytree(Path(d2f_towers.__file__).parent, tmp_path / "towers")
    (copied / "shared.py").write_text("KEPT = 1\n", "utf-8")
    monkeypatch.setattr(d2f_towers, "__path__", [str(copied)])
    code._package_digest.cache_clear()
    assert code_digest(ClipProbe) != before


def test_packages_differ_and_a_class_without_a_file_has_none():
    from d2f_noise import Noise

    assert len(code_digest(Wiener)) == 64
    assert code_digest(Wiener) != code_digest(Noise)
    assert code_digest(type("Typed", (), {"__module__": "nowhere_at_all"})) is None
